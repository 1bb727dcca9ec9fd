-- The last programs that are wrong, with what their execution said; for recipes that need labels.
-- A repair has the role 'repair', and the programs before it as parents. The feedback is how the
-- program failed, or, where it ran to its end, what it printed; where answers are texts, that the
-- answer is wrong.
-- Columns: prompt_id, parent_ids (all programs so far), messages, problem, difficulty, answer,
-- feedback
WITH tried AS (
    SELECT *
    FROM samples
    WHERE run = getvariable('run') AND round = getvariable('round')
      AND purpose IN ('train', 'imported') AND role IN ('answer', 'program', 'repair')
      AND status = 'ok'
),
said AS (
    SELECT
        sample_id,
        any_value(CASE
            WHEN verdict = 'accepted' THEN 'wrong_answer: it printed ' || left(trim(stdout, E' \n'), 500)
            ELSE coalesce(feedback, verdict)
        END) AS feedback
    FROM executions
    WHERE run = getvariable('run') AND round = getvariable('round') AND len(test_ids) = 0
    GROUP BY sample_id
)
SELECT
    p.id AS prompt_id,
    s.parent_ids || [s.id] AS parent_ids,
    p.messages,
    p.messages[-1].content AS problem,
    p.difficulty,
    s.text AS answer,
    coalesce(e.feedback, 'wrong_answer') AS feedback
FROM tried AS s
JOIN prompts AS p ON p.run = s.run AND p.round = s.round AND p.id = s.prompt_id
JOIN scores AS r ON r.run = s.run AND r.round = s.round AND r.sample_id = s.id
LEFT JOIN said AS e ON e.sample_id = s.id
WHERE r."check" = 'reference' AND r.status = 'ok' AND r.value < 1
  AND s.id NOT IN (SELECT parent_ids[-1] FROM tried WHERE len(parent_ids) > 0)
