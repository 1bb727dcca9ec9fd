-- Filter: drops samples that are too short or too long, absolutely or beside their prompt's others.
--
-- Selections that prefer what scores well drift towards longer texts round by round (1,092 to
-- 2,552 characters in Self-Rewarding, arXiv 2401.10020). Lengths are tokens; the ratio is to the
-- median of the prompt's candidates that are otherwise of use.
-- Reasons: too_short, too_long.
--
-- Reads candidates, samples. Writes the temporary table `dropped`.
-- Table: candidates
-- References: no
-- After: candidates.sql
-- Columns: sample, reason
-- Parameters:
SET VARIABLE min_tokens = 1;           -- INTEGER in [0, inf]: fewest tokens
SET VARIABLE max_tokens = 1000000;     -- INTEGER in [1, inf]: most tokens
SET VARIABLE min_ratio = 0.0;          -- DOUBLE in [0, 1]: smallest ratio to the prompt's median
SET VARIABLE max_ratio = 1000000.0;    -- DOUBLE in [1, inf]: largest ratio to the prompt's median

CREATE OR REPLACE TEMP TABLE dropped AS
WITH lengths AS (
    SELECT c.sample, c.prompt, s.num_tokens
    FROM candidates AS c
    JOIN samples AS s ON s.id = c.sample_id
    WHERE c.reason IS NULL
      AND s.run = getvariable('run') AND s.round = getvariable('round')
),
medians AS (
    SELECT prompt, median(num_tokens) AS median
    FROM lengths
    GROUP BY prompt
),
bands AS (
    SELECT
        l.sample,
        CASE
            WHEN l.num_tokens < getvariable('min_tokens')
                OR l.num_tokens < getvariable('min_ratio') * m.median THEN 'too_short'
            WHEN l.num_tokens > getvariable('max_tokens')
                OR l.num_tokens > getvariable('max_ratio') * m.median THEN 'too_long'
        END AS reason
    FROM lengths AS l
    JOIN medians AS m ON m.prompt = l.prompt
)
SELECT sample, reason FROM bands WHERE reason IS NOT NULL;
