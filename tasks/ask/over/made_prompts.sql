-- The problems of the round that a model made.
-- Variable: made_by (the stage that made them; all of them where it is null).
-- question_head and question_tail are what the environment puts around every question; the stage
-- sets them.
-- Columns: prompt_id, messages, problem (the question), difficulty, depth, made_by, constants (of the
-- question that they were made by, a JSON text)
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
    metadata ->> '$.constants' AS constants
FROM prompts
WHERE run = getvariable('run') AND round = getvariable('round') AND split = 'train'
  AND source <> 'seed'
  AND coalesce(getvariable('made_by'), metadata ->> '$.made_by') = metadata ->> '$.made_by'
