-- Filter: drops samples whose length is not the usual one among problems of their difficulty.
--
-- Where all right answers of a difficulty are equally long, one that lost or repeated a part is
-- wrong however many samples agree on it (the length filter of arXiv 2502.01612, section 6, which
-- compares with the longest answer; one odd answer would move that). The usual length, in tokens,
-- is the most frequent one, of equally frequent ones the longest. Problems without a difficulty are
-- one group.
-- Reasons: too_short, too_long.
--
-- Reads candidates, prompts, samples. Writes the temporary table `dropped`.
-- Table: candidates
-- References: no
-- After: candidates.sql
-- Columns: sample, reason
-- Parameters:
SET VARIABLE tolerance = 0;  -- INTEGER in [0, inf]: tokens that a length may differ by

CREATE OR REPLACE TEMP TABLE dropped AS
WITH lengths AS (
    SELECT c.sample, p.difficulty, s.num_tokens
    FROM candidates AS c
    JOIN samples AS s ON s.id = c.sample_id
    JOIN prompts AS p ON p.id = s.prompt_id
    WHERE c.reason IS NULL
      AND s.run = getvariable('run') AND s.round = getvariable('round')
      AND p.run = getvariable('run') AND p.round = getvariable('round')
),
usual AS (
    SELECT difficulty, arg_max(num_tokens, (num, num_tokens)) AS num_tokens
    FROM (
        SELECT difficulty, num_tokens, count(*) AS num
        FROM lengths
        GROUP BY ALL
    )
    GROUP BY difficulty
)
SELECT
    l.sample,
    CASE WHEN l.num_tokens < u.num_tokens THEN 'too_short' ELSE 'too_long' END AS reason
FROM lengths AS l
JOIN usual AS u ON u.difficulty IS NOT DISTINCT FROM l.difficulty
WHERE abs(l.num_tokens - u.num_tokens) > getvariable('tolerance');
