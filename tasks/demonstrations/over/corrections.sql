-- Corrections that are right, after the answer that each corrects (STaSC, arXiv 2503.08681).
--
-- `before` and `after` are the scores against the reference. With only_improving an answer that was
-- right already teaches nothing; without it, it may stay right. Of equal texts after equal answers
-- one stays, and at most max_per_prompt per prompt, picked by seed.
-- Reasons: no_reference, wrong_correction, not_improving, duplicate_text, over_prompt_cap.
--
-- Reads own, graded, prompts.
-- References: yes
-- Columns: prompt_id, sample_ids, completion, weight, reason, messages, problem, answer
-- Parameters:
SET VARIABLE role = 'correction';     -- VARCHAR: role of the corrections
SET VARIABLE only_improving = TRUE;   -- BOOLEAN: only where the answer was wrong
SET VARIABLE max_per_prompt = 1000;   -- INTEGER in [1, inf]: most examples of one prompt

WITH made AS (
    SELECT
        c.id,
        c.prompt_id,
        c.text AS completion,
        a.id AS answer_id,
        a.text AS answer,
        CASE
            WHEN before.reference IS NULL OR after.reference IS NULL THEN 'no_reference'
            WHEN after.reference < 1 THEN 'wrong_correction'
            WHEN getvariable('only_improving') AND before.reference >= 1 THEN 'not_improving'
        END AS reason
    FROM own AS c
    JOIN own AS a ON a.id = c.parent_ids[1]
    LEFT JOIN graded AS before ON before.sample_id = a.id
    LEFT JOIN graded AS after ON after.sample_id = c.id
    WHERE c.role = getvariable('role') AND c.status = 'ok'
),
copies AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY prompt_id, answer, completion, reason ORDER BY pick(id), id
        ) AS copy
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
    [m.answer_id, m.id] AS sample_ids,
    m.completion,
    1.0::DOUBLE AS weight,
    CASE
        WHEN m.reason IS NOT NULL THEN m.reason
        WHEN m.copy > 1 THEN 'duplicate_text'
        WHEN m.place > getvariable('max_per_prompt') THEN 'over_prompt_cap'
    END AS reason,
    p.messages,
    p.messages[-1].content AS problem,
    m.answer
FROM placed AS m
JOIN prompts AS p ON p.run = getvariable('run') AND p.round = getvariable('round')
    AND p.id = m.prompt_id
