-- Step of a selection of pairs whose rule has matched samples itself, each pair with its own strength.
--
-- A pair one of whose samples has a reason against it is none. Reason added here: no_counterpart.
--
-- Reads judged (sample, reason) and matches (chosen, rejected, weight, margin, soft_label), both of
-- the rule. Writes the temporary table `decisions` (sample, reason: null for a sample that is used).
-- Before: pair_rows.sql
-- Needs: sample, reason

DELETE FROM matches
WHERE chosen IN (SELECT sample FROM judged WHERE reason IS NOT NULL)
   OR rejected IN (SELECT sample FROM judged WHERE reason IS NOT NULL);

CREATE OR REPLACE TEMP TABLE decisions AS
WITH used AS (
    SELECT chosen AS sample FROM matches
    UNION
    SELECT rejected AS sample FROM matches
)
SELECT
    j.sample,
    CASE WHEN j.reason IS NULL AND u.sample IS NULL THEN 'no_counterpart' ELSE j.reason END AS reason
FROM judged AS j
LEFT JOIN used AS u ON u.sample = j.sample;
