-- Last step of making prompts: every item that no rule dropped, as a row of `prompts`.
--
-- The messages are those of the prompt that the question was about, with the new text in place of
-- the last one, and what the environment puts around every question. The id follows from environment and messages: the same problem has the same id in a
-- run of another name. `reference` is null: nobody knows the answer. `difficulty` is that of the
-- parent where only the wording is new. metadata: made_by (the stage), depth (1 for what was made of
-- a given problem, 2 for what was made of that), item, and the constants of the question.
--
-- Reads items (items.sql), prompts. Gives the columns of `prompts`.
-- Parameters, besides run and round (items.sql):
SET VARIABLE environment = 'word_problems';  -- VARCHAR: the environment that they are problems of
SET VARIABLE source = 'self_instruct';       -- VARCHAR: how they were made
SET VARIABLE made_by = 'question';           -- VARCHAR: the stage that makes them

WITH parents AS (
    SELECT id, messages, difficulty, metadata
    FROM prompts
    WHERE run = getvariable('run') AND round <= getvariable('round')
    QUALIFY row_number() OVER (PARTITION BY id ORDER BY round DESC) = 1
),
kept AS (
    SELECT
        i.*,
        p.difficulty,
        coalesce((p.metadata ->> '$.depth')::INTEGER, 0) + 1 AS depth,
        list_append(
            p.messages[1:len(p.messages) - 1], {
                'role': 'user',
                'content': getvariable('question_head') || i.text || getvariable('question_tail')
            }
        ) AS messages
    FROM items AS i
    JOIN parents AS p ON p.id = i.prompt_id
    WHERE i.reason IS NULL
)
SELECT
    'prompt-' || left(sha256(
        json_array('made', getvariable('environment'), messages)::VARCHAR
    ), 20) AS id,
    getvariable('run')::VARCHAR AS run,
    getvariable('round')::INTEGER AS round,
    getvariable('environment')::VARCHAR AS environment,
    messages,
    NULL::VARCHAR AS reference,
    getvariable('source')::VARCHAR AS source,
    [sample_id] AS parent_ids,
    'train' AS split,
    CASE WHEN getvariable('source') = 'rephrase' THEN difficulty END AS difficulty,
    json_object(
        'made_by', getvariable('made_by'), 'depth', depth, 'item', number, 'constants', constants
    )::VARCHAR AS metadata
FROM kept
ORDER BY id;
