-- Pairs of judgements of one answer of each problem, in both orders: first is A, second is B.
-- The answer is the one that its judges disagree about most (largest variance of the scores); where
-- they agree about all, there is none. Source: Meta-Rewarding, 2407.19594, section 2.3.
-- Variables: judged_by (the check of the judgements), max_judgements (of an answer, 0 for all).
-- Columns: prompt_id, parent_ids (A, B), problem, difficulty, answer, judgement_a, judgement_b
WITH judgements AS (
    SELECT
        s.sample_id AS answer_id,
        j.id,
        j.text,
        j.prompt_id,
        s.value,
        row_number() OVER (PARTITION BY s.sample_id ORDER BY j."index", j.id) AS place
    FROM scores AS s
    JOIN samples AS j ON j.run = s.run AND j.round = s.round
        AND j.id = json_extract_string(s.detail, '$.judgement')
    WHERE s.run = getvariable('run') AND s.round = getvariable('round')
      AND s."check" = getvariable('judged_by') AND s.status = 'ok' AND s.value IS NOT NULL
),
disputed AS (
    SELECT prompt_id, answer_id
    FROM judgements
    GROUP BY prompt_id, answer_id
    HAVING count(*) > 1 AND var_pop(value) > 0
    QUALIFY row_number() OVER (
        PARTITION BY prompt_id ORDER BY var_pop(value) DESC, answer_id
    ) = 1
),
met AS (
    SELECT j.* EXCLUDE (value)
    FROM judgements AS j
    JOIN disputed AS d ON d.answer_id = j.answer_id
    WHERE coalesce(getvariable('max_judgements'), 0) = 0
       OR j.place <= getvariable('max_judgements')
)
SELECT
    a.prompt_id,
    [a.id, b.id] AS parent_ids,
    p.messages[-1].content AS problem,
    p.difficulty,
    s.text AS answer,
    a.text AS judgement_a,
    b.text AS judgement_b
FROM met AS a
JOIN met AS b ON b.answer_id = a.answer_id AND b.id <> a.id
JOIN samples AS s ON s.run = getvariable('run') AND s.round = getvariable('round')
    AND s.id = a.answer_id
JOIN prompts AS p ON p.run = getvariable('run') AND p.round = getvariable('round')
    AND p.id = a.prompt_id
