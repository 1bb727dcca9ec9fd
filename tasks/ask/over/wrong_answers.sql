-- The wrong answers of the round, each with the right one as a hint; for recipes that need labels.
-- Columns: prompt_id, parent_ids (the answer), messages, problem, difficulty, answer, reference
SELECT
    p.id AS prompt_id,
    [s.id] AS parent_ids,
    p.messages,
    p.messages[-1].content AS problem,
    p.difficulty,
    s.text AS answer,
    p.reference
FROM samples AS s
JOIN prompts AS p ON p.run = s.run AND p.round = s.round AND p.id = s.prompt_id
JOIN scores AS r ON r.run = s.run AND r.round = s.round AND r.sample_id = s.id
WHERE s.run = getvariable('run') AND s.round = getvariable('round')
  AND s.purpose IN ('train', 'imported') AND s.role IN ('answer', 'program') AND s.status = 'ok'
  AND r."check" = 'reference' AND r.status = 'ok' AND r.value < 1
