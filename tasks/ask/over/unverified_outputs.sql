-- Programs and refinements that nobody has verified yet, with what came of running them.
-- The output is what a program printed, or how it ended; where answers are texts, the answer itself.
-- A verification has the role 'critique', and everything before it as parents.
-- Columns: prompt_id, parent_ids (the trace so far), messages, problem, difficulty, answer, output
WITH ran AS (
    SELECT
        sample_id,
        any_value(CASE WHEN verdict = 'accepted' THEN trim(stdout, E' \n') ELSE verdict END)
            AS output
    FROM executions
    WHERE run = getvariable('run') AND round = getvariable('round') AND len(test_ids) = 0
    GROUP BY sample_id
),
found AS (
    SELECT sample_id, any_value(label) AS label
    FROM scores
    WHERE run = getvariable('run') AND round = getvariable('round') AND "check" = 'answer'
    GROUP BY sample_id
),
verified AS (
    SELECT parent_ids[-1] AS id
    FROM samples
    WHERE run = getvariable('run') AND round = getvariable('round') AND role = 'critique'
)
SELECT
    p.id AS prompt_id,
    s.parent_ids || [s.id] AS parent_ids,
    p.messages,
    p.messages[-1].content AS problem,
    p.difficulty,
    s.text AS answer,
    coalesce(r.output, f.label, 'nothing') AS output
FROM samples AS s
JOIN prompts AS p ON p.run = s.run AND p.round = s.round AND p.id = s.prompt_id
LEFT JOIN ran AS r ON r.sample_id = s.id
LEFT JOIN found AS f ON f.sample_id = s.id
ANTI JOIN verified AS v ON v.id = s.id
WHERE s.run = getvariable('run') AND s.round = getvariable('round')
  AND s.purpose IN ('train', 'imported') AND s.role IN ('answer', 'program', 'refinement')
  AND s.status = 'ok'
