-- How far two reward models rank a prompt's answers alike: rows of the check <name> (CREAM, 2410.12735).
--
-- A prompt's consistency is (Kendall's tau + 1) / 2 of both rankings: the share of pairs of answers
-- that both put in the same order. Equal rewards are ranked in the order of drawing, as ranks that are
-- ordinal are. Every answer has its prompt's consistency as its value; where an answer of the prompt
-- lacks one of the rewards, or the prompt has a single answer, it is the mean over the other prompts
-- (detail.failure = 'no_ranking'; no value where there are none). With mode 'avg' all have that mean.
-- Reads samples, scores. Gives the columns of `scores`, by sample.
-- Parameters:
SET VARIABLE run = 'demo';                   -- VARCHAR: the run
SET VARIABLE round = 1;                      -- INTEGER: its round
SET VARIABLE name = 'consistency';           -- VARCHAR: the check that is written
SET VARIABLE reward = 'reward';              -- VARCHAR: check with one model's reward
SET VARIABLE other = 'previous_reward';      -- VARCHAR: check with the other model's
SET VARIABLE mode = 'avg';                   -- VARCHAR in {avg, dyn}: one number for all, or by prompt

WITH rewards AS (
    SELECT
        sample_id,
        avg(value) FILTER ("check" = getvariable('reward')) AS reward,
        avg(value) FILTER ("check" = getvariable('other')) AS other
    FROM scores
    WHERE run = getvariable('run') AND round = getvariable('round') AND status = 'ok'
      AND "check" IN (getvariable('reward'), getvariable('other'))
    GROUP BY sample_id
),
answers AS (
    SELECT
        s.id,
        s.prompt_id,
        r.reward,
        r.other,
        r.reward IS NOT NULL AND r.other IS NOT NULL AS is_ranked,
        row_number() OVER (PARTITION BY s.prompt_id ORDER BY s.turn, s."index", s.id) AS place
    FROM samples AS s
    LEFT JOIN rewards AS r ON r.sample_id = s.id
    WHERE s.run = getvariable('run') AND s.round = getvariable('round')
      AND s.purpose IN ('train', 'imported') AND s.role IN ('answer', 'program')
      AND s.status = 'ok'
),
ranked AS (
    SELECT *, bool_and(is_ranked) OVER (PARTITION BY prompt_id) AS is_whole FROM answers
),
prompts_ranked AS (
    SELECT
        a.prompt_id,
        avg(((b.reward >= a.reward) = (b.other >= a.other))::INTEGER) AS consistency
    FROM ranked AS a
    JOIN ranked AS b ON b.prompt_id = a.prompt_id AND b.place > a.place
    WHERE a.is_whole
    GROUP BY a.prompt_id
),
means AS (
    -- Sorted, so that the sum has the same last bits in every process.
    SELECT list_avg(list(consistency ORDER BY consistency)) AS mean FROM prompts_ranked
)
SELECT
    'score-' || left(sha256(json_array(
        'score', getvariable('run'), getvariable('round'), a.id, getvariable('name'), '1-kendall'
    )::VARCHAR), 20) AS id,
    getvariable('run')::VARCHAR AS run,
    getvariable('round')::INTEGER AS round,
    a.id AS sample_id,
    getvariable('name') AS "check",
    '1-kendall' AS version,
    CASE WHEN getvariable('mode') = 'dyn' THEN coalesce(p.consistency, m.mean) ELSE m.mean END
        AS value,
    NULL::VARCHAR AS label,
    CASE WHEN p.consistency IS NULL
        THEN json_object('mean', m.mean, 'failure', 'no_ranking')
        ELSE json_object('mean', m.mean, 'prompt', p.consistency)
    END::VARCHAR AS detail,
    'ok' AS status,
    NULL::VARCHAR AS error
FROM ranked AS a
CROSS JOIN means AS m
LEFT JOIN prompts_ranked AS p ON p.prompt_id = a.prompt_id
ORDER BY a.prompt_id, a.place;
