-- The problems of the round that a model made, each with labelled problems of the run to show.
-- The labelled ones are the examples of round 0 (`stages.seed_examples`).
-- Variables: num_shots (most of them that are shown, 3), shot_seed (0).
-- Columns: those of made_prompts, parent_ids (the prompts shown), examples (problem, answer)
WITH labelled AS (
    SELECT id, prompt_id, prompt[-1].content AS problem, completion[-1].content AS answer
    FROM examples
    WHERE run = getvariable('run') AND round = 0
),
made AS (
    SELECT id, messages, difficulty, metadata
    FROM prompts
    WHERE run = getvariable('run') AND round = getvariable('round') AND split = 'train'
      AND source <> 'seed'
),
drawn AS (
    SELECT
        m.id AS made_id,
        l.*,
        md5_number_lower(l.id || ':' || m.id || ':' || coalesce(getvariable('shot_seed'), 0)) AS pick
    FROM made AS m
    CROSS JOIN labelled AS l
    QUALIFY row_number() OVER (PARTITION BY m.id ORDER BY pick)
        <= coalesce(getvariable('num_shots'), 3)
),
shown AS (
    SELECT
        made_id,
        list(prompt_id ORDER BY pick) AS parent_ids,
        list({'problem': problem, 'answer': answer} ORDER BY pick) AS examples
    FROM drawn
    GROUP BY made_id
)
SELECT
    m.id AS prompt_id,
    coalesce(s.parent_ids, []::VARCHAR[]) AS parent_ids,
    m.messages,
    m.messages[-1].content AS problem,
    m.difficulty,
    (m.metadata ->> '$.depth')::INTEGER AS depth,
    m.metadata ->> '$.made_by' AS made_by,
    m.metadata ->> '$.constants.kind' AS kind,
    coalesce(s.examples, []) AS examples
FROM made AS m
LEFT JOIN shown AS s ON s.made_id = m.id
