-- No answer at all: a round whose training rows are what was said about its answers, with
-- select_asked, says so of every answer (Self-rationalization, arXiv 2410.05495).
--
-- Reasons: only_judged.
--
-- Reads candidates. Writes the temporary table `judged`.
-- Table: examples
-- References: no
-- After: candidates.sql
-- Before: pick_examples.sql
-- Columns: sample, weight, reason
-- Parameters:
SET VARIABLE max_per_prompt = 1;    -- INTEGER in [1, inf]: for pick_examples.sql, which finds none

CREATE OR REPLACE TEMP TABLE judged AS
SELECT sample, 1.0::DOUBLE AS weight, coalesce(reason, 'only_judged') AS reason
FROM candidates;
