-- The problems of the round for one agent of a debate, with what the others answered last
-- (arXiv 2501.05707). Agents are named KIND-NUMBER; the others are those of another number. An
-- answer's `constants` say whose it is and in which debate; the first answers are in none.
-- Variables: agent (its name), debate (the debate before, 0 for first answers).
-- Columns: prompt_id, parent_ids (the others' answers), variant (the agent), context (all messages but
-- the last), problem, summary (the answers, an empty line between them)
WITH said AS (
    SELECT prompt_id, id, text, sampling->>'$.constants.agent' AS agent
    FROM samples
    WHERE run = getvariable('run') AND round = getvariable('round') AND purpose = 'train'
      AND status = 'ok' AND role <> 'summary'
      AND coalesce((sampling->>'$.constants.debate')::INTEGER, 0)
          = coalesce(getvariable('debate')::INTEGER, 0)
)
SELECT
    p.id AS prompt_id,
    list(s.id ORDER BY s.agent) AS parent_ids,
    coalesce(getvariable('agent'), '') AS variant,
    any_value(p.messages[1:len(p.messages) - 1]) AS context,
    any_value(p.messages[-1].content) AS problem,
    string_agg(s.text, chr(10) || chr(10) ORDER BY s.agent) AS summary
FROM prompts AS p
JOIN said AS s ON s.prompt_id = p.id
    AND split_part(s.agent, '-', 2) <> split_part(getvariable('agent'), '-', 2)
WHERE p.run = getvariable('run') AND p.round = getvariable('round') AND p.split = 'train'
GROUP BY p.id
