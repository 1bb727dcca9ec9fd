-- The answers and programs of the round, each with its problem.
-- Columns: those of prompts, parent_ids (the answer), answer, label (its canonical answer)
WITH canonical AS (
    SELECT sample_id, arg_max(label, version) AS label
    FROM scores
    WHERE run = getvariable('run') AND round = getvariable('round')
      AND "check" = 'answer' AND status = 'ok'
    GROUP BY sample_id
)
SELECT
    p.id AS prompt_id,
    [s.id] AS parent_ids,
    p.messages,
    p.messages[-1].content AS problem,
    p.reference,
    p.difficulty,
    s.text AS answer,
    a.label
FROM samples AS s
JOIN prompts AS p ON p.run = s.run AND p.round = s.round AND p.id = s.prompt_id
LEFT JOIN canonical AS a ON a.sample_id = s.id
WHERE s.run = getvariable('run') AND s.round = getvariable('round')
  AND s.purpose IN ('train', 'imported') AND s.role IN ('answer', 'program') AND s.status = 'ok'
