-- Answers to problems that were made of a given one, each with that one; for recipes that need labels.
-- Columns: prompt_id (the made problem), parent_ids (the answer), problem, answer, known_problem,
-- known_answer (the reference)
WITH made AS (
    SELECT m.id, m.messages, any_value(q.prompt_id) AS known_id
    FROM prompts AS m
    JOIN samples AS q ON q.run = m.run AND q.round = m.round AND q.id = m.parent_ids[1]
    WHERE m.run = getvariable('run') AND m.round = getvariable('round') AND m.source <> 'seed'
    GROUP BY m.id, m.messages
)
SELECT
    m.id AS prompt_id,
    [s.id] AS parent_ids,
    m.messages[-1].content AS problem,
    s.text AS answer,
    k.messages[-1].content AS known_problem,
    k.reference AS known_answer
FROM made AS m
JOIN samples AS s ON s.run = getvariable('run') AND s.round = getvariable('round') AND s.prompt_id = m.id
JOIN prompts AS k
    ON k.run = getvariable('run') AND k.round = getvariable('round') AND k.id = m.known_id
WHERE s.purpose = 'train' AND s.role IN ('answer', 'program') AND s.status = 'ok'
