-- First answers of one agent that agree with what a debate ended in (arXiv 2501.05707).
--
-- The result of a debate is the most voted answer of its last turn; where two are, there is none.
-- Reasons: no_answer, no_result, minority_answer, duplicate_text.
--
-- Reads own, graded, votes, prompts.
-- References: no
-- Columns: prompt_id, sample_ids, completion, weight, reason, messages
-- Parameters:
SET VARIABLE agent = 'generation-0';  -- VARCHAR: the agent

WITH results AS (
    SELECT prompt_id, max(answer) FILTER (rank = 1) AS answer
    FROM votes
    WHERE run = getvariable('run') AND round = getvariable('round') AND rank <= 2
    GROUP BY prompt_id
    HAVING count(DISTINCT weight) = count(*)
),
made AS (
    SELECT
        s.id,
        s.prompt_id,
        s.text,
        CASE
            WHEN nullif(g.answer, '') IS NULL THEN 'no_answer'
            WHEN r.answer IS NULL THEN 'no_result'
            WHEN g.answer <> r.answer THEN 'minority_answer'
        END AS reason,
        row_number() OVER (PARTITION BY s.prompt_id, s.text ORDER BY pick(s.id), s.id) AS copy
    FROM own AS s
    LEFT JOIN graded AS g ON g.sample_id = s.id
    LEFT JOIN results AS r ON r.prompt_id = s.prompt_id
    WHERE s.sampling->>'$.constants.agent' = getvariable('agent') AND s.status = 'ok'
      AND s.sampling->>'$.constants.debate' IS NULL
)
SELECT
    m.prompt_id,
    [m.id] AS sample_ids,
    m.text AS completion,
    1.0::DOUBLE AS weight,
    coalesce(m.reason, CASE WHEN m.copy > 1 THEN 'duplicate_text' END) AS reason,
    p.messages
FROM made AS m
JOIN prompts AS p ON p.run = getvariable('run') AND p.round = getvariable('round')
    AND p.id = m.prompt_id
