-- Preference pairs: right answers over wrong ones (Iterative RPO, arXiv 2404.19733).
--
-- A chosen completion is a sample whose reference score is 1, a rejected one a sample whose score
-- is 0; pair_up.sql makes at most max_pairs (the paper's K) pairs per prompt by cycling both
-- lists. A sample without an answer is no use, unless unparsed_is_wrong: then it is a wrong one.
-- Reasons: no_reference; see pair_up.sql for the rest.
--
-- Reads candidates. Writes the temporary table `judged`.
-- Table: pairs
-- References: yes
-- After: candidates.sql
-- Before: pair_up.sql
-- Columns: sample, side, weight, margin, reason
-- Parameters:
SET VARIABLE max_pairs = 10;             -- INTEGER in [1, inf]: most pairs of one prompt
SET VARIABLE unparsed_is_wrong = FALSE;  -- BOOLEAN: whether a sample without an answer is wrong

CREATE OR REPLACE TEMP TABLE judged AS
WITH graded AS (
    SELECT
        *,
        getvariable('unparsed_is_wrong') AND reference IS NOT NULL
            AND (reason = 'no_answer' OR starts_with(reason, 'execution_')) AS is_unparsed
    FROM candidates
)
SELECT
    sample,
    CASE WHEN reference >= 1 THEN 'chosen' ELSE 'rejected' END AS side,
    1.0::DOUBLE AS weight,
    1.0::DOUBLE AS margin,
    CASE
        WHEN coalesce(is_unparsed, FALSE) THEN NULL
        WHEN reason IS NOT NULL THEN reason
        WHEN reference IS NULL THEN 'no_reference'
    END AS reason
FROM graded;
