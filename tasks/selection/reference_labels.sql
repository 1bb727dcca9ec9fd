-- Labeled rows: right answers are good, wrong ones bad (KTO, arXiv 2402.01306).
--
-- A sample without an answer is no use, unless unparsed_is_wrong: then it is a wrong one.
-- Reasons: no_reference; see label_up.sql for the rest.
--
-- Reads candidates. Writes the temporary table `judged`.
-- Table: labels
-- References: yes
-- After: candidates.sql
-- Before: label_up.sql
-- Columns: sample, side, weight, reason
-- Parameters:
SET VARIABLE max_per_side = 10;          -- INTEGER in [1, inf]: most good and most bad rows of a prompt
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
    CASE
        WHEN coalesce(is_unparsed, FALSE) THEN NULL
        WHEN reason IS NOT NULL THEN reason
        WHEN reference IS NULL THEN 'no_reference'
    END AS reason
FROM graded;
