-- Filter: drops samples whose length is far from the round's mean (SELF-GUIDE, arXiv 2407.12874).
--
-- Lengths are tokens of all candidates of the round that are otherwise of use. Kept is what has
-- mean - num_sigmas * sigma <= length <= mean + num_sigmas * sigma.
-- Reasons: too_short, too_long.
--
-- Reads candidates, samples. Writes the temporary table `dropped`.
-- Table: candidates
-- References: no
-- After: candidates.sql
-- Columns: sample, reason
-- Parameters:
SET VARIABLE num_sigmas = 2.0;  -- DOUBLE in [0, inf]: standard deviations that are allowed

CREATE OR REPLACE TEMP TABLE dropped AS
WITH lengths AS (
    SELECT c.sample, s.num_tokens
    FROM candidates AS c
    JOIN samples AS s ON s.id = c.sample_id
    WHERE (c.reason IS NULL OR c.reason IN ('no_answer', 'not_checked'))
      AND s.run = getvariable('run') AND s.round = getvariable('round')
),
spread AS (
    -- The tolerance keeps equal lengths, whose deviation is not exactly 0 in floating point.
    SELECT avg(num_tokens) AS mean, getvariable('num_sigmas') * stddev_pop(num_tokens) + 1e-9 AS width
    FROM lengths
)
SELECT l.sample, CASE WHEN l.num_tokens < s.mean THEN 'too_short' ELSE 'too_long' END AS reason
FROM lengths AS l
CROSS JOIN spread AS s
WHERE abs(l.num_tokens - s.mean) > s.width;
