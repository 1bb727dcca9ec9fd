-- The problems of the round that its environment gave.
-- question_head and question_tail are what the environment puts around every question; the stage
-- sets them.
-- Columns: prompt_id, messages, problem (the question), reference, difficulty
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
    reference,
    difficulty
FROM prompts
WHERE run = getvariable('run') AND round = getvariable('round') AND split = 'train'
  AND source = 'seed'
