-- The best attempt of every state, weighted by its reward (RISE, arXiv 2407.18219).
--
-- A state is a problem, or the attempts at it so far. Of the attempts in one state the best is
-- imitated, with weight exp((reward - mean reward of the turn) / tau); the reward is 1 for a right
-- answer, else 0. Of equally good ones the seed picks one.
-- Reasons: no_reference, not_best.
--
-- Reads own, graded, prompts.
-- References: yes
-- Columns: prompt_id, sample_ids, completion, weight, reason, messages, problem, answer
-- Parameters:
SET VARIABLE turns = 'first';  -- VARCHAR in {first, later}: first answers, or attempts after them
SET VARIABLE tau = 1.0;        -- DOUBLE in [0.01, 100]: how little rewards count

WITH tried AS (
    SELECT
        s.id,
        s.prompt_id,
        s.parent_ids,
        s.text,
        coalesce(s.parent_ids[-1], s.prompt_id) AS state,
        len(s.parent_ids) AS turn,
        g.reference AS reward
    FROM own AS s
    LEFT JOIN graded AS g ON g.sample_id = s.id
    WHERE s.role IN ('answer', 'program', 'attempt') AND s.status = 'ok'
),
weighed AS (
    SELECT
        *,
        exp((reward - avg(reward) OVER (PARTITION BY turn)) / getvariable('tau')) AS weight,
        row_number() OVER (
            PARTITION BY state, reward IS NULL ORDER BY reward DESC, pick(id), id
        ) AS place
    FROM tried
)
SELECT
    t.prompt_id,
    t.parent_ids || [t.id] AS sample_ids,
    t.text AS completion,
    coalesce(t.weight, 0.0)::DOUBLE AS weight,
    CASE
        WHEN t.reward IS NULL THEN 'no_reference'
        WHEN t.place > 1 THEN 'not_best'
    END AS reason,
    p.messages,
    p.messages[-1].content AS problem,
    a.text AS answer
FROM weighed AS t
LEFT JOIN own AS a ON a.id = t.parent_ids[-1]
JOIN prompts AS p ON p.run = getvariable('run') AND p.round = getvariable('round')
    AND p.id = t.prompt_id
WHERE (t.turn = 0) = (getvariable('turns') = 'first')
