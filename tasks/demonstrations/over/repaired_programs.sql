-- Repairs that are right (CYCLE, arXiv 2403.18746; Re-ReST, arXiv 2406.01495).
--
-- With learn = 'repair' an example shows the wrong program and what its execution said, and its
-- completion is the repair; with learn = 'answer' it shows the problem alone, as if the repair had
-- been the first program. Of equal texts after equal ones one stays, and at most max_per_prompt per
-- prompt, picked by seed.
-- Reasons: no_reference, wrong_repair, duplicate_text, over_prompt_cap.
--
-- Reads own, graded, executions, prompts.
-- References: yes
-- Columns: prompt_id, sample_ids, completion, weight, reason, messages, problem, answer, feedback
-- Parameters:
SET VARIABLE learn = 'repair';        -- VARCHAR in {repair, answer}: what the example shows
SET VARIABLE max_per_prompt = 1000;   -- INTEGER in [1, inf]: most examples of one prompt

WITH said AS (
    SELECT
        sample_id,
        any_value(CASE
            WHEN verdict = 'accepted' THEN 'wrong_answer: it printed ' || left(trim(stdout, E' \n'), 500)
            ELSE coalesce(feedback, verdict)
        END) AS feedback
    FROM executions
    WHERE run = getvariable('run') AND round = getvariable('round') AND len(test_ids) = 0
    GROUP BY sample_id
),
made AS (
    SELECT
        r.id,
        r.prompt_id,
        r.parent_ids,
        r.text AS completion,
        CASE getvariable('learn') WHEN 'repair' THEN a.text END AS answer,
        CASE getvariable('learn') WHEN 'repair' THEN coalesce(e.feedback, 'wrong_answer') END
            AS feedback,
        CASE
            WHEN g.reference IS NULL THEN 'no_reference'
            WHEN g.reference < 1 THEN 'wrong_repair'
        END AS reason
    FROM own AS r
    JOIN own AS a ON a.id = r.parent_ids[-1]
    LEFT JOIN graded AS g ON g.sample_id = r.id
    LEFT JOIN said AS e ON e.sample_id = a.id
    WHERE r.role = 'repair' AND r.status = 'ok'
),
copies AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY prompt_id, answer, feedback, completion, reason ORDER BY pick(id), id
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
    m.parent_ids || [m.id] AS sample_ids,
    m.completion,
    1.0::DOUBLE AS weight,
    CASE
        WHEN m.reason IS NOT NULL THEN m.reason
        WHEN m.copy > 1 THEN 'duplicate_text'
        WHEN m.place > getvariable('max_per_prompt') THEN 'over_prompt_cap'
    END AS reason,
    p.messages,
    p.messages[-1].content AS problem,
    m.answer,
    m.feedback
FROM placed AS m
JOIN prompts AS p ON p.run = getvariable('run') AND p.round = getvariable('round')
    AND p.id = m.prompt_id
