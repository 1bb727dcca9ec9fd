-- Pairs of answers as in pairs.sql, each with the model's own answer of role 'reference'.
-- Every answer meets the num_opponents that follow it in a ring over the problem's answers (variable
-- num_opponents; all others where it is null or 0).
-- Columns: prompt_id, parent_ids (A, B, reference), problem, answer_a, answer_b, reference_answer
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
own AS (
    SELECT prompt_id, arg_min({'id': id, 'text': text}, "index") AS reference
    FROM samples
    WHERE run = getvariable('run') AND round = getvariable('round')
      AND purpose = 'train' AND role = 'reference' AND status = 'ok'
    GROUP BY prompt_id
)
SELECT DISTINCT
    p.id AS prompt_id,
    [a.id, b.id, own.reference.id] AS parent_ids,
    p.messages[-1].content AS problem,
    a.text AS answer_a,
    b.text AS answer_b,
    own.reference.text AS reference_answer
FROM placed AS a
JOIN placed AS b ON b.prompt_id = a.prompt_id AND b.id <> a.id
JOIN own ON own.prompt_id = a.prompt_id
JOIN prompts AS p
    ON p.run = getvariable('run') AND p.round = getvariable('round') AND p.id = a.prompt_id
WHERE coalesce(getvariable('num_opponents'), 0) = 0
   OR (b.place - a.place + a.num_answers) % a.num_answers <= getvariable('num_opponents')
   OR (a.place - b.place + a.num_answers) % a.num_answers <= getvariable('num_opponents')
