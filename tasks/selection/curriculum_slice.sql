-- Filter: drops the samples of prompts outside a slice of difficulty.
--
-- The measure: `difficulty` is what the environment says; `vote_share` is the share of the
-- prompt's most voted answer (SeRL keeps 0.2 to 0.8); `quantile` is the prompt's place among all
-- from easiest (0) to hardest (1), by difficulty and then by falling vote share, so that 0 to 0.33
-- is the easier third. Kept is what has low <= measure <= high.
-- With problems = 'made' only prompts that a model made are measured, so that given ones stay whatever
-- their share (ScPO keeps made ones from 0.5 on).
-- Reasons: outside_slice, unknown_difficulty (measured by `difficulty`, and the prompt has none).
--
-- Reads candidates, prompts, votes. Writes the temporary table `dropped`.
-- Table: candidates
-- References: no
-- After: candidates.sql
-- Columns: sample, reason
-- Parameters:
SET VARIABLE measure = 'vote_share';  -- VARCHAR in {difficulty, vote_share, quantile}: the measure
SET VARIABLE low = 0.2;          -- DOUBLE in [-inf, inf]: smallest measure that is kept
SET VARIABLE high = 0.8;         -- DOUBLE in [-inf, inf]: largest measure that is kept
SET VARIABLE problems = 'all';   -- VARCHAR in {all, made}: which problems the slice is about

CREATE OR REPLACE TEMP TABLE dropped AS
WITH majorities AS (
    SELECT prompt_id, max(share) AS share
    FROM votes
    WHERE run = getvariable('run') AND round = getvariable('round')
    GROUP BY prompt_id
),
-- Only prompts that were answered have a place: an imported round may hold many that were not.
measured AS (
    SELECT
        hash(p.id) AS prompt,
        p.difficulty,
        coalesce(m.share, 0) AS share,
        percent_rank() OVER (ORDER BY p.difficulty NULLS LAST, coalesce(m.share, 0) DESC) AS place
    FROM prompts AS p
    LEFT JOIN majorities AS m ON m.prompt_id = p.id
    WHERE p.run = getvariable('run') AND p.round = getvariable('round')
      AND hash(p.id) IN (SELECT prompt FROM candidates)
      AND (getvariable('problems') = 'all' OR p.source <> 'seed')
),
placed AS (
    SELECT
        prompt,
        CASE getvariable('measure')
            WHEN 'difficulty' THEN difficulty::DOUBLE
            WHEN 'vote_share' THEN share
            ELSE place
        END AS measure
    FROM measured
)
SELECT
    c.sample,
    CASE WHEN p.measure IS NULL THEN 'unknown_difficulty' ELSE 'outside_slice' END AS reason
FROM candidates AS c
JOIN placed AS p ON p.prompt = c.prompt
WHERE c.reason IS NULL
  -- The tolerance keeps 4 of 5 inside a slice up to 0.8 in floating point.
  AND (p.measure IS NULL OR p.measure + 1e-9 < getvariable('low')
       OR p.measure - 1e-9 > getvariable('high'));
