-- Right answers with a wrong step put in and taken back (S3c-Math, arXiv 2409.01524).
--
-- The step is what the model wrote at the line that tasks/ask/over/right_steps.sql chose. It counts
-- as wrong if no right answer to the problem goes on from the same lines with it. The example is the
-- lines before, the wrong step, the marker, and the right answer's own lines from there on. Every
-- line that is put in begins with line_start: '# ' keeps a program one.
-- Reasons: right_step, empty_step, duplicate_text, other_step (one is used of every answer).
--
-- Reads own, graded, prompts.
-- References: yes
-- Columns: prompt_id, sample_ids, completion, weight, reason, messages, problem
-- Parameters:
SET VARIABLE marker = 'That step is wrong; the right one follows.';  -- VARCHAR: takes the step back
SET VARIABLE line_start = '';  -- VARCHAR: what a line that is put in begins with

WITH chosen AS (
    SELECT
        s.id,
        s.prompt_id,
        string_split(trim(s.text, E' \n'), E'\n') AS all_lines,
        unnest(range(2, len(string_split(trim(s.text, E' \n'), E'\n')) + 1)) AS line
    FROM own AS s
    JOIN graded AS g ON g.sample_id = s.id
    WHERE s.role IN ('answer', 'program') AND s.status = 'ok' AND g.reference >= 1
),
right_steps AS (
    SELECT DISTINCT
        prompt_id,
        array_to_string(all_lines[: line - 1], E'\n') AS prefix,
        trim(all_lines[line]) AS step
    FROM chosen
),
places AS (
    SELECT * FROM chosen
    QUALIFY row_number() OVER (PARTITION BY id ORDER BY md5(id || line), line) = 1
),
sampled AS (
    SELECT
        t.id,
        a.id AS answer_id,
        a.prompt_id,
        array_to_string(a.all_lines[: a.line - 1], E'\n') AS prefix,
        trim(split_part(trim(t.text, E' \n'), E'\n', 1)) AS step,
        array_to_string(a.all_lines[a.line :], E'\n') AS rest
    FROM own AS t
    JOIN places AS a ON a.id = t.parent_ids[1]
    WHERE t.role = 'step' AND t.status = 'ok'
),
made AS (
    SELECT
        s.*,
        prefix || E'\n' || getvariable('line_start') || step || E'\n'
            || getvariable('line_start') || getvariable('marker') || E'\n' || rest AS completion,
        CASE
            WHEN step = '' THEN 'empty_step'
            WHEN (prompt_id, prefix, step) IN (FROM right_steps) THEN 'right_step'
        END AS reason
    FROM sampled AS s
),
copies AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY prompt_id, completion, reason ORDER BY pick(id), id) AS copy
    FROM made
),
placed AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY answer_id, reason IS NULL AND copy = 1 ORDER BY pick(id), id
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
        WHEN m.place > 1 THEN 'other_step'
    END AS reason,
    p.messages,
    p.messages[-1].content AS problem
FROM placed AS m
JOIN prompts AS p ON p.run = getvariable('run') AND p.round = getvariable('round')
    AND p.id = m.prompt_id
