-- The answers of the round, each with the model's own answer of role 'reference' to its problem.
-- Columns: those of answers, reference_answer
WITH own AS (
    SELECT prompt_id, arg_min({'id': id, 'text': text}, "index") AS reference
    FROM samples
    WHERE run = getvariable('run') AND round = getvariable('round')
      AND purpose = 'train' AND role = 'reference' AND status = 'ok'
    GROUP BY prompt_id
)
SELECT
    p.id AS prompt_id,
    [s.id, own.reference.id] AS parent_ids,
    p.messages,
    p.messages[-1].content AS problem,
    p.difficulty,
    s.text AS answer,
    own.reference.text AS reference_answer
FROM samples AS s
JOIN prompts AS p ON p.run = s.run AND p.round = s.round AND p.id = s.prompt_id
JOIN own ON own.prompt_id = s.prompt_id
WHERE s.run = getvariable('run') AND s.round = getvariable('round')
  AND s.purpose IN ('train', 'imported') AND s.role IN ('answer', 'program') AND s.status = 'ok'
