-- The last attempts that are wrong: answers, or attempts after them; for recipes that need labels.
-- An attempt has the role 'attempt', and the attempts before it as parents.
-- Columns: prompt_id, parent_ids (all attempts so far), messages, problem, difficulty, answer
WITH tried AS (
    SELECT *
    FROM samples
    WHERE run = getvariable('run') AND round = getvariable('round')
      AND purpose IN ('train', 'imported') AND role IN ('answer', 'program', 'attempt')
      AND status = 'ok'
)
SELECT
    p.id AS prompt_id,
    s.parent_ids || [s.id] AS parent_ids,
    p.messages,
    p.messages[-1].content AS problem,
    p.difficulty,
    s.text AS answer
FROM tried AS s
JOIN prompts AS p ON p.run = s.run AND p.round = s.round AND p.id = s.prompt_id
JOIN scores AS r ON r.run = s.run AND r.round = s.round AND r.sample_id = s.id
WHERE r."check" = 'reference' AND r.status = 'ok' AND r.value < 1
  AND s.id NOT IN (SELECT parent_ids[-1] FROM tried WHERE len(parent_ids) > 0)
