-- Answers that are right, as they are; beside other demonstrations of the same round.
--
-- Of equal texts one stays, and at most max_per_prompt per prompt, picked by seed.
-- Reasons: no_reference, wrong_answer, duplicate_text, over_prompt_cap.
--
-- Reads own, graded, prompts.
-- References: yes
-- Columns: prompt_id, sample_ids, completion, weight, reason, messages, problem
-- Parameters:
SET VARIABLE max_per_prompt = 1000;  -- INTEGER in [1, inf]: most examples of one prompt

WITH made AS (
    SELECT
        s.id,
        s.prompt_id,
        s.text,
        CASE
            WHEN g.reference IS NULL THEN 'no_reference'
            WHEN g.reference < 1 THEN 'wrong_answer'
        END AS reason
    FROM own AS s
    LEFT JOIN graded AS g ON g.sample_id = s.id
    WHERE s.role IN ('answer', 'program') AND s.status = 'ok'
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
    [m.id] AS sample_ids,
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
