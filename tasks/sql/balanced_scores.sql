-- B-STaR's reward of a round's samples: rows of the check `balanced`.
--
-- 1 for a right answer, and reward_scale times what is said of its steps, from -1 to 1: with
-- step_reward 'confidence' 2 * p - 1, p the model's probability of the least likely token that it
-- wrote; nothing where the engine gives none. Samples without an answer have no row.
--
-- Reads samples, scores. Gives the columns of `scores`, by sample.
-- Parameters:
SET VARIABLE run = 'demo';               -- VARCHAR: the run
SET VARIABLE round = 1;                  -- INTEGER: its round
SET VARIABLE role = '';                  -- VARCHAR: role of the samples; empty: answer and program
SET VARIABLE step_reward = 'confidence';  -- VARCHAR in {confidence, none}: what is said of the steps
SET VARIABLE reward_scale = 0.2;         -- DOUBLE in [0, 1]: weight of the steps beside the answer

WITH graded AS (
    SELECT
        s.id,
        r.value AS is_right,
        CASE
            WHEN getvariable('step_reward') = 'confidence' AND s.min_logprob IS NOT NULL
                THEN 2 * exp(s.min_logprob) - 1
            ELSE 0
        END AS reward
    FROM samples AS s
    JOIN scores AS a
        ON a.run = s.run AND a.round = s.round AND a.sample_id = s.id
        AND a."check" = 'answer' AND a.status = 'ok' AND nullif(a.label, '') IS NOT NULL
    JOIN scores AS r
        ON r.run = s.run AND r.round = s.round AND r.sample_id = s.id
        AND r."check" = 'reference' AND r.status = 'ok' AND r.value IS NOT NULL
    WHERE s.run = getvariable('run') AND s.round = getvariable('round') AND s.status = 'ok'
      AND s.purpose IN ('train', 'imported')
      AND CASE WHEN getvariable('role') = '' THEN s.role IN ('answer', 'program')
          ELSE s.role = getvariable('role') END
)
SELECT
    'score-' || left(sha256(json_array(
        'score', getvariable('run'), getvariable('round'), id, 'balanced', '1'
    )::VARCHAR), 20) AS id,
    getvariable('run')::VARCHAR AS run,
    getvariable('round')::INTEGER AS round,
    id AS sample_id,
    'balanced' AS "check",
    '1' AS version,
    (is_right + getvariable('reward_scale') * reward)::DOUBLE AS value,
    NULL::VARCHAR AS label,
    json_object('right', is_right, 'steps', reward)::VARCHAR AS detail,
    'ok' AS status,
    NULL::VARCHAR AS error
FROM graded
ORDER BY graded.id;
