-- The answers of the round, each with the gold answer of its problem; for recipes that need labels.
-- Columns: prompt_id, parent_ids, messages, problem, difficulty, answer, reference_answer
SELECT
    p.id AS prompt_id,
    [s.id] AS parent_ids,
    p.messages,
    p.messages[-1].content AS problem,
    p.difficulty,
    s.text AS answer,
    p.reference AS reference_answer
FROM samples AS s
JOIN prompts AS p ON p.run = s.run AND p.round = s.round AND p.id = s.prompt_id
WHERE s.run = getvariable('run') AND s.round = getvariable('round')
  AND s.purpose IN ('train', 'imported') AND s.role IN ('answer', 'program') AND s.status = 'ok'
