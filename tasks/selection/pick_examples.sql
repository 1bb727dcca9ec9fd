-- Last step of a selection of examples: one of equal texts, at most max_per_prompt per prompt.
--
-- Reasons added here: duplicate_text (an equal text of the prompt is used), over_prompt_cap.
--
-- Reads judged, candidates, samples, prompts. Writes the temporary table `decisions` (sample_id,
-- reason: null for a sample that is used) and the temporary view `selected` with the columns of
-- `examples`.
-- Parameters, besides run and round (candidates.sql) and max_per_prompt (the selection):
SET VARIABLE filter = 'selection';  -- VARCHAR: the name of the selection

CREATE OR REPLACE TEMP TABLE decisions AS
WITH copies AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY prompt_id, reason IS NULL, text_key ORDER BY pick, sample_id
        ) AS copy
    FROM judged
),
places AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY prompt_id, reason IS NULL AND copy = 1 ORDER BY pick, sample_id
        ) AS place
    FROM copies
)
SELECT
    sample_id,
    prompt_id,
    weight,
    CASE
        WHEN reason IS NOT NULL THEN reason
        WHEN copy > 1 THEN 'duplicate_text'
        WHEN place > getvariable('max_per_prompt') THEN 'over_prompt_cap'
    END AS reason
FROM places;

CREATE OR REPLACE TEMP VIEW selected AS
SELECT
    'example-' || left(sha256(json_array(
        'example', getvariable('run'), getvariable('round'), getvariable('filter'), d.sample_id
    )::VARCHAR), 20) AS id,
    getvariable('run')::VARCHAR AS run,
    getvariable('round')::INTEGER AS round,
    d.prompt_id,
    p.messages AS prompt,
    [{'role': 'assistant', 'content': s.text}] AS completion,
    [d.sample_id] AS sample_ids,
    list_filter([c.answer_score_id, c.reference_score_id], lambda x: x IS NOT NULL) AS score_ids,
    list_filter([c.vote_id], lambda x: x IS NOT NULL) AS vote_ids,
    d.weight
FROM decisions AS d
JOIN candidates AS c ON c.sample_id = d.sample_id
JOIN samples AS s ON s.id = d.sample_id
JOIN prompts AS p ON p.id = d.prompt_id
WHERE d.reason IS NULL
  AND s.run = getvariable('run') AND s.round = getvariable('round')
  AND p.run = getvariable('run') AND p.round = getvariable('round')
ORDER BY d.prompt_id, d.sample_id;
