-- One line of every right answer, with the lines before it; for recipes that need labels.
-- Which line is a function of the answer alone, so that it can be found again; never the first one.
-- Columns: prompt_id, parent_ids (the answer), messages, problem, difficulty, prefix, step
WITH lines AS (
    SELECT
        s.id,
        s.prompt_id,
        string_split(trim(s.text, E' \n'), E'\n') AS all_lines,
        unnest(range(2, len(string_split(trim(s.text, E' \n'), E'\n')) + 1)) AS line
    FROM samples AS s
    JOIN scores AS r ON r.run = s.run AND r.round = s.round AND r.sample_id = s.id
    WHERE s.run = getvariable('run') AND s.round = getvariable('round')
      AND s.purpose IN ('train', 'imported') AND s.role IN ('answer', 'program')
      AND s.status = 'ok' AND r."check" = 'reference' AND r.status = 'ok' AND r.value >= 1
)
SELECT
    p.id AS prompt_id,
    [l.id] AS parent_ids,
    p.messages,
    p.messages[-1].content AS problem,
    p.difficulty,
    array_to_string(l.all_lines[: l.line - 1], E'\n') AS prefix,
    l.all_lines[l.line] AS step
FROM lines AS l
JOIN prompts AS p ON p.run = getvariable('run') AND p.round = getvariable('round')
    AND p.id = l.prompt_id
QUALIFY row_number() OVER (PARTITION BY l.id ORDER BY md5(l.id || l.line), l.line) = 1
