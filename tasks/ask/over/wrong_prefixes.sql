-- The wrong answers of the round line by line: each beginning of one is an answer to go on with
-- (Self-Explore, arXiv 2404.10346); for recipes that need labels.
-- Wrong answers stand against right ones of the same problem, one each, at most max_pairs; of equal
-- texts one counts. The whole answer is no beginning: where it leads is known.
-- Variables: max_pairs (of a problem, 1 where it is null), max_lines (20 where it is null).
-- Columns: prompt_id, parent_ids (the wrong answer), variant (the line), messages (with the begun
-- answer as the last one)
WITH marked AS (
    SELECT
        s.id,
        s.prompt_id,
        s.text,
        r.value >= 1 AS is_right,
        row_number() OVER (PARTITION BY s.prompt_id, trim(s.text) ORDER BY md5(s.id)) AS copy
    FROM samples AS s
    JOIN scores AS r
        ON r.run = s.run AND r.round = s.round AND r.sample_id = s.id
        AND r."check" = 'reference' AND r.status = 'ok' AND r.value IS NOT NULL
    WHERE s.run = getvariable('run') AND s.round = getvariable('round') AND s.purpose = 'train'
      AND s.role IN ('answer', 'program') AND s.turn = 0 AND s.status = 'ok'
),
placed AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY prompt_id, is_right ORDER BY md5(id)) AS place,
        count(*) FILTER (is_right) OVER (PARTITION BY prompt_id) AS num_right
    FROM marked
    WHERE copy = 1
),
lines AS (
    SELECT
        id,
        prompt_id,
        string_split(text, chr(10)) AS texts,
        unnest(range(1, len(string_split(text, chr(10))))) AS line
    FROM placed
    WHERE NOT is_right AND place <= least(num_right, coalesce(getvariable('max_pairs'), 1))
),
beginnings AS (
    SELECT
        id,
        prompt_id,
        line,
        array_to_string(texts[1:line], chr(10)) || chr(10) AS begun,
        row_number() OVER (PARTITION BY id ORDER BY line) AS step
    FROM lines
    WHERE trim(texts[line]) <> '' AND trim(array_to_string(texts[line + 1:], '')) <> ''
)
SELECT
    p.id AS prompt_id,
    [b.id] AS parent_ids,
    'line ' || b.line AS variant,
    list_append(p.messages, {'role': 'assistant', 'content': b.begun}) AS messages
FROM beginnings AS b
JOIN prompts AS p
    ON p.run = getvariable('run') AND p.round = getvariable('round') AND p.id = b.prompt_id
WHERE b.step <= coalesce(getvariable('max_lines'), 20)
