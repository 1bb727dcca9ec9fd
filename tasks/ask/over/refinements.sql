-- The refinements of the round, each as an answer to its problem.
-- Columns: prompt_id, parent_ids (the refinement), messages, problem, difficulty, answer
SELECT
    p.id AS prompt_id,
    [s.id] AS parent_ids,
    p.messages,
    p.messages[-1].content AS problem,
    p.difficulty,
    s.text AS answer
FROM samples AS s
JOIN prompts AS p ON p.run = s.run AND p.round = s.round AND p.id = s.prompt_id
WHERE s.run = getvariable('run') AND s.round = getvariable('round')
  AND s.purpose = 'train' AND s.role = 'refinement' AND s.status = 'ok'
