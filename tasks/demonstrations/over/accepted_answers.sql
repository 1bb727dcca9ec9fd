-- Answers that the model's own feedback accepts, and refinements that it accepts (SELF, 2310.00533).
--
-- An answer counts as accepted if the check of the critiques says yes about it, a refinement if the
-- check of a second look at it does. Of equal texts one stays, and at most max_per_prompt per
-- prompt, picked by seed.
-- Reasons: not_criticized, refused, duplicate_text, over_prompt_cap.
--
-- Reads own, scores, prompts.
-- References: no
-- Columns: prompt_id, sample_ids, completion, weight, reason, messages, problem
-- Parameters:
SET VARIABLE answer_check = 'critique';     -- VARCHAR: the check that accepts answers
SET VARIABLE refinement_check = 'recheck';  -- VARCHAR: the check that accepts refinements
SET VARIABLE max_per_prompt = 1000;         -- INTEGER in [1, inf]: most examples of one prompt

WITH opinions AS (
    SELECT sample_id, "check", avg(value) AS value
    FROM scores
    WHERE run = getvariable('run') AND round = getvariable('round') AND status = 'ok'
      AND "check" IN (getvariable('answer_check'), getvariable('refinement_check'))
    GROUP BY ALL
),
made AS (
    SELECT
        s.id,
        s.prompt_id,
        s.parent_ids,
        s.text,
        CASE
            WHEN o.value IS NULL THEN 'not_criticized'
            WHEN o.value < 1 THEN 'refused'
        END AS reason
    FROM own AS s
    LEFT JOIN opinions AS o ON o.sample_id = s.id AND o."check" = CASE s.role
        WHEN 'refinement' THEN getvariable('refinement_check')
        ELSE getvariable('answer_check')
    END
    WHERE s.role IN ('answer', 'program', 'refinement') AND s.status = 'ok'
),
copies AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY prompt_id, text, reason ORDER BY pick(id), id) AS copy
    FROM made
),
placed AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY prompt_id, reason IS NULL AND copy = 1 ORDER BY pick(id), id
        ) AS place
    FROM copies
)
SELECT
    m.prompt_id,
    m.parent_ids || [m.id] AS sample_ids,
    m.text AS completion,
    1.0::DOUBLE AS weight,
    CASE
        WHEN m.reason IS NOT NULL THEN m.reason
        WHEN m.copy > 1 THEN 'duplicate_text'
        WHEN m.place > getvariable('max_per_prompt') THEN 'over_prompt_cap'
    END AS reason,
    p.messages,
    p.messages[-1].content AS problem
FROM placed AS m
JOIN prompts AS p ON p.run = getvariable('run') AND p.round = getvariable('round')
    AND p.id = m.prompt_id
