-- No answer at all: a round whose pairs are of what was said about its answers, made by
-- select_asked, says so of every answer (Self-rationalization, arXiv 2410.05495).
--
-- Reasons: only_judged.
--
-- Reads candidates. Writes the temporary table `judged`.
-- Table: pairs
-- References: no
-- After: candidates.sql
-- Before: pair_up.sql
-- Columns: sample, side, weight, margin, reason
-- Parameters:
SET VARIABLE max_pairs = 1;    -- INTEGER in [1, inf]: for pair_up.sql, which finds none

CREATE OR REPLACE TEMP TABLE judged AS
SELECT
    sample,
    'rejected' AS side,
    1.0::DOUBLE AS weight,
    NULL::DOUBLE AS margin,
    coalesce(reason, 'only_judged') AS reason
FROM candidates;
