-- The problems of the round that a model made.
-- Variables: made_by (the stage that made them) and depth (how often something was made of a given
-- problem); all of them where these are null.
-- question_head and question_tail are what the environment puts around every question; the stage
-- sets them.
-- Columns: prompt_id, messages, problem (the question), difficulty, depth, made_by, kind (the
-- constant of that name of the question that they were made by)
SELECT
    id AS prompt_id,
    messages,
    CASE
        WHEN starts_with(messages[-1].content, coalesce(getvariable('question_head'), ''))
            AND ends_with(messages[-1].content, coalesce(getvariable('question_tail'), ''))
        THEN messages[-1].content[
            len(coalesce(getvariable('question_head'), '')) + 1:
            len(messages[-1].content) - len(coalesce(getvariable('question_tail'), ''))
        ]
        ELSE messages[-1].content
    END AS problem,
    difficulty,
    (metadata ->> '$.depth')::INTEGER AS depth,
    metadata ->> '$.made_by' AS made_by,
    metadata ->> '$.constants.kind' AS kind
FROM prompts
WHERE run = getvariable('run') AND round = getvariable('round') AND split = 'train'
  AND source <> 'seed'
  AND coalesce(getvariable('made_by'), metadata ->> '$.made_by') = metadata ->> '$.made_by'
  AND coalesce(getvariable('depth'), (metadata ->> '$.depth')::INTEGER)
      = (metadata ->> '$.depth')::INTEGER
