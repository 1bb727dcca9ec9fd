-- Pairs of answers to the same problem, each in both orders: first is A, second is B.
-- Every answer meets the num_opponents that follow it in a ring over the problem's answers (variable
-- num_opponents; all others where it is null or 0).
-- Columns: those of prompts, parent_ids (A, B), answer_a, answer_b
WITH placed AS (
    SELECT
        s.id,
        s.prompt_id,
        s.text,
        row_number() OVER one_prompt - 1 AS place,
        count(*) OVER (PARTITION BY s.prompt_id) AS num_answers
    FROM samples AS s
    WHERE s.run = getvariable('run') AND s.round = getvariable('round')
      AND s.purpose IN ('train', 'imported') AND s.role IN ('answer', 'program')
      AND s.status = 'ok'
    WINDOW one_prompt AS (PARTITION BY s.prompt_id ORDER BY s.turn, s."index", s.id)
),
met AS (
    SELECT DISTINCT
        a.prompt_id,
        a.id AS a,
        a.text AS answer_a,
        b.id AS b,
        b.text AS answer_b
    FROM placed AS a
    JOIN placed AS b ON b.prompt_id = a.prompt_id AND b.id <> a.id
    WHERE coalesce(getvariable('num_opponents'), 0) = 0
       OR (b.place - a.place + a.num_answers) % a.num_answers <= getvariable('num_opponents')
       OR (a.place - b.place + a.num_answers) % a.num_answers <= getvariable('num_opponents')
)
SELECT
    p.id AS prompt_id,
    [m.a, m.b] AS parent_ids,
    p.messages,
    p.messages[-1].content AS problem,
    p.reference,
    p.difficulty,
    m.answer_a,
    m.answer_b
FROM met AS m
JOIN prompts AS p
    ON p.run = getvariable('run') AND p.round = getvariable('round') AND p.id = m.prompt_id
