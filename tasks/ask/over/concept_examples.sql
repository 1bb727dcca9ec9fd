-- What samples of the role 'concepts' said, each with given problems of the run to show.
-- Which are shown follows from shot_seed and the sample alone.
-- Variables: num_shots (problems that are shown, 8), shot_seed (0); question_head and question_tail
-- are what the environment puts around every question; they are not shown, and the stage sets them.
-- Columns: prompt_id, parent_ids (the sample with the concepts), concepts, examples (texts)
WITH said AS (
    SELECT s.id, s.seed, s.prompt_id, trim(s.text) AS concepts
    FROM samples AS s
    JOIN scores AS c ON c.run = s.run AND c.round = s.round AND c.sample_id = s.id
        AND c."check" = 'concepts' AND c.detail ->> '$.failure' IS NULL
    WHERE s.run = getvariable('run') AND s.round = getvariable('round') AND s.purpose = 'train'
      AND s.role = 'concepts' AND s.status = 'ok'
),
given AS (
    SELECT id, messages[-1].content AS text
    FROM prompts
    WHERE run = getvariable('run') AND round = getvariable('round') AND split = 'train'
      AND source = 'seed'
),
shown AS (
    SELECT
        s.id,
        CASE
            WHEN starts_with(g.text, coalesce(getvariable('question_head'), ''))
                AND ends_with(g.text, coalesce(getvariable('question_tail'), ''))
            THEN g.text[
                len(coalesce(getvariable('question_head'), '')) + 1:
                len(g.text) - len(coalesce(getvariable('question_tail'), ''))
            ]
            ELSE g.text
        END AS problem,
        -- Of seeds, not ids: these depend on the name of the run.
        md5_number_lower(g.id || ':' || s.seed || ':' || coalesce(getvariable('shot_seed'), 0))
            AS pick
    FROM said AS s
    CROSS JOIN given AS g
    QUALIFY row_number() OVER (PARTITION BY s.id ORDER BY pick)
        <= coalesce(getvariable('num_shots'), 8)
)
SELECT
    s.prompt_id,
    [s.id] AS parent_ids,
    s.concepts,
    (SELECT list(problem ORDER BY pick) FROM shown WHERE shown.id = s.id) AS examples
FROM said AS s
