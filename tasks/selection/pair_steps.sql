-- Last step of step_pairs.sql: the matches become pairs.
--
-- Reads judged (sample, side, weight, margin, reason), step_matches, samples, scores, prompts. Writes
-- the temporary table `decisions` (sample, reason: null for a sample that is used) and the temporary
-- view `selected` with the columns of `pairs`.
-- Needs: sample, side, weight, margin, reason
-- Parameters, besides run and round (candidates.sql):
SET VARIABLE filter = 'selection';  -- VARCHAR: the name of the selection

CREATE OR REPLACE TEMP TABLE decisions AS
SELECT sample, reason FROM judged;

CREATE OR REPLACE TEMP VIEW selected AS
WITH used AS (
    SELECT m.wrong_id, m.chosen_id, m.rejected_text, s.prompt_id, s.text AS chosen_text
    FROM step_matches AS m
    JOIN samples AS s
        ON s.run = getvariable('run') AND s.round = getvariable('round') AND s.id = m.chosen_id
    WHERE m.reason IS NULL
),
opinions AS (
    SELECT u.wrong_id, list(o.id ORDER BY o."check", o.sample_id, o.id) AS score_ids
    FROM used AS u
    JOIN scores AS o ON o.sample_id IN (u.wrong_id, u.chosen_id)
    WHERE o.run = getvariable('run') AND o.round = getvariable('round')
      AND o."check" IN ('answer', 'reference')
    GROUP BY u.wrong_id
)
SELECT
    'pair-' || left(sha256(json_array(
        'pair', getvariable('run'), getvariable('round'), getvariable('filter'),
        u.chosen_id, u.wrong_id
    )::VARCHAR), 20) AS id,
    getvariable('run')::VARCHAR AS run,
    getvariable('round')::INTEGER AS round,
    u.prompt_id,
    p.messages AS prompt,
    [{'role': 'assistant', 'content': u.chosen_text}] AS chosen,
    [{'role': 'assistant', 'content': u.rejected_text}] AS rejected,
    1.0::DOUBLE AS weight,
    1.0::DOUBLE AS margin,
    1.0::DOUBLE AS soft_label,
    u.chosen_id AS chosen_sample_id,
    u.wrong_id AS rejected_sample_id,
    [u.chosen_id, u.wrong_id] AS sample_ids,
    coalesce(o.score_ids, []) AS score_ids,
    []::VARCHAR[] AS vote_ids
FROM used AS u
JOIN prompts AS p
    ON p.run = getvariable('run') AND p.round = getvariable('round') AND p.id = u.prompt_id
LEFT JOIN opinions AS o ON o.wrong_id = u.wrong_id
ORDER BY u.prompt_id, u.chosen_id, u.wrong_id;
