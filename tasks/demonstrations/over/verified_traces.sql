-- The turns of traces that end in a right program, concluded to be right (CoSC, arXiv 2410.10735).
--
-- A trace is program, verification (role 'critique'), refinement, verification, ... . It is kept if its last
-- verification says yes about a program that is right. What is learned are its turns of one kind,
-- each after what the model saw. Of equal turns after equal ones one stays.
-- Reasons: trace_not_kept, wrong_program, duplicate_text.
--
-- Reads own, graded, scores, executions, prompts.
-- References: yes
-- Columns: prompt_id, sample_ids, completion, weight, reason, messages, problem, answer, output,
--     critique
-- Parameters:
SET VARIABLE learn = 'program';  -- VARCHAR in {program, critique, refinement}: kind of turn
SET VARIABLE learn_wrong = TRUE;  -- BOOLEAN: whether programs that the trace corrects are learned

WITH concluded AS (
    SELECT v.id, v.parent_ids
    FROM own AS v
    JOIN scores AS c ON c.run = v.run AND c.round = v.round AND c.sample_id = v.id
    JOIN graded AS g ON g.sample_id = v.parent_ids[-1]
    WHERE v.role = 'critique' AND c."check" = 'verification' AND c.label = 'yes'
      AND g.reference >= 1
),
kept AS (
    SELECT DISTINCT unnest(parent_ids || [id]) AS id FROM concluded
),
outputs AS (
    SELECT
        sample_id,
        any_value(CASE WHEN verdict = 'accepted' THEN trim(stdout, E' \n') ELSE verdict END)
            AS output
    FROM executions
    WHERE run = getvariable('run') AND round = getvariable('round') AND len(test_ids) = 0
    GROUP BY sample_id
),
turns AS (
    SELECT
        s.id,
        s.prompt_id,
        s.parent_ids,
        s.text AS completion,
        CASE s.role WHEN 'refinement' THEN s.parent_ids[-2] ELSE s.parent_ids[-1] END AS answer_id,
        CASE s.role WHEN 'refinement' THEN s.parent_ids[-1] END AS critique_id,
        CASE
            WHEN s.id NOT IN (SELECT id FROM kept) THEN 'trace_not_kept'
            WHEN NOT getvariable('learn_wrong') AND g.reference < 1 THEN 'wrong_program'
        END AS reason
    FROM own AS s
    LEFT JOIN graded AS g ON g.sample_id = s.id
    WHERE s.status = 'ok' AND CASE getvariable('learn')
        WHEN 'program' THEN s.role IN ('answer', 'program')
        ELSE s.role = getvariable('learn')
    END
),
shown AS (
    SELECT
        t.*,
        a.text AS answer,
        c.text AS critique,
        coalesce(o.output, g.answer, 'nothing') AS output
    FROM turns AS t
    LEFT JOIN own AS a ON a.id = t.answer_id
    LEFT JOIN own AS c ON c.id = t.critique_id
    LEFT JOIN outputs AS o ON o.sample_id = t.answer_id
    LEFT JOIN graded AS g ON g.sample_id = t.answer_id
),
copies AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY prompt_id, answer, critique, completion, reason,
                -- Only a verification is shown what the program printed.
                CASE getvariable('learn') WHEN 'critique' THEN output END
            ORDER BY pick(id), id
        ) AS copy
    FROM shown
)
SELECT
    t.prompt_id,
    t.parent_ids || [t.id] AS sample_ids,
    t.completion,
    1.0::DOUBLE AS weight,
    CASE WHEN t.reason IS NULL AND t.copy > 1 THEN 'duplicate_text' ELSE t.reason END AS reason,
    p.messages,
    p.messages[-1].content AS problem,
    t.answer,
    t.output,
    t.critique
FROM copies AS t
JOIN prompts AS p ON p.run = getvariable('run') AND p.round = getvariable('round')
    AND p.id = t.prompt_id
