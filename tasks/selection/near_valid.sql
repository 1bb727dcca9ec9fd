-- Filter: of the samples that agree with the majority, drops those that are far from valid solutions.
--
-- Of the samples that agree with their prompt's majority answer (no tie) those with the lowest scores
-- of the check stay: the keep_share of the round's, equal scores together. Prompts with a sample of
-- role exclude_role are left out altogether. Samples that don't agree are for the selection to judge.
-- Source: IWSI, arXiv 2408.09849, section 3 (its code drops all scores equal to the threshold).
-- Reasons: valid_prompt, no_score, far.
--
-- Reads candidates, samples, scores, votes. Writes the temporary table `dropped`.
-- Table: candidates
-- References: no
-- Columns: sample, reason
-- Parameters:
SET VARIABLE check_name = 'ds_weight';   -- VARCHAR: the check that is low for what is kept
SET VARIABLE keep_share = 0.8;           -- DOUBLE in [0, 1]: share of agreeing samples that is kept
SET VARIABLE exclude_role = 'solution';  -- VARCHAR: samples of this role mark prompts left out

CREATE OR REPLACE TEMP TABLE dropped AS
WITH majorities AS (
    SELECT hash(prompt_id) AS prompt, max(answer) FILTER (rank = 1) AS answer
    FROM votes
    WHERE run = getvariable('run') AND round = getvariable('round') AND rank <= 2
    GROUP BY prompt_id
    HAVING count(DISTINCT weight) = count(*)
),
excluded AS (
    SELECT DISTINCT hash(prompt_id) AS prompt
    FROM samples
    WHERE run = getvariable('run') AND round = getvariable('round')
      AND role = getvariable('exclude_role')
),
scored AS (
    SELECT hash(sample_id) AS sample, avg(value) AS score
    FROM scores
    WHERE run = getvariable('run') AND round = getvariable('round')
      AND "check" = getvariable('check_name') AND status = 'ok' AND value IS NOT NULL
    GROUP BY sample_id
),
agreed AS (
    SELECT c.sample, s.score
    FROM candidates AS c
    JOIN majorities AS m ON m.prompt = c.prompt AND m.answer = c.answer
    LEFT JOIN scored AS s ON s.sample = c.sample
    ANTI JOIN excluded AS x ON x.prompt = c.prompt
    WHERE c.reason IS NULL
),
ranked AS (
    SELECT
        score,
        row_number() OVER (ORDER BY score) AS place,
        floor(getvariable('keep_share') * count(*) OVER () + 1e-9) AS num_kept
    FROM agreed
    WHERE score IS NOT NULL
),
threshold AS (
    SELECT max(score) AS score FROM ranked WHERE place <= num_kept
)
SELECT sample, CASE WHEN score IS NULL THEN 'no_score' ELSE 'far' END AS reason
FROM agreed
WHERE score IS NULL OR score > coalesce((SELECT score FROM threshold), -1)
UNION ALL
SELECT c.sample, 'valid_prompt' AS reason
FROM candidates AS c
JOIN excluded AS x ON x.prompt = c.prompt
WHERE c.reason IS NULL;
