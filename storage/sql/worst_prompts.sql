-- worst_prompts: prompts by what the samples for training made of them, the worst ones first.
--
-- One row per run and prompt, over all rounds in which it was asked; a prompt that was never asked
-- has no samples and comes last. Prompts are ordered by their pass rate, then, where there is no
-- reference, by how much the samples agree.
CREATE VIEW worst_prompts AS
WITH asked AS (
    SELECT
        run,
        id AS prompt_id,
        any_value(environment) AS environment,
        any_value(difficulty) AS difficulty,
        any_value(messages)[-1].content AS problem,
        any_value(reference) AS reference
    FROM prompts
    WHERE split <> 'heldout'
    GROUP BY run, id
),
drawn AS (
    SELECT
        run,
        prompt_id,
        count(*) AS samples,
        count(DISTINCT round) AS rounds,
        max(round) AS last_round
    FROM samples
    WHERE purpose <> 'evaluate' AND status = 'ok'
    GROUP BY ALL
),
counted AS (
    SELECT
        run,
        prompt_id,
        count(answer) AS answered,
        count(DISTINCT answer) AS answers,
        avg(is_right::INTEGER) AS pass_rate
    FROM answers
    WHERE purpose <> 'evaluate'
    GROUP BY ALL
),
agreed AS (
    SELECT run, prompt_id, max_by(share, round) AS top_share
    FROM votes
    WHERE rank = 1
    GROUP BY ALL
)
SELECT
    asked.run,
    asked.prompt_id,
    asked.environment,
    asked.difficulty,
    asked.problem,
    asked.reference,
    coalesce(drawn.rounds, 0) AS rounds,
    drawn.last_round,
    coalesce(drawn.samples, 0) AS samples,
    coalesce(counted.answered, 0) AS answered,
    coalesce(counted.answers, 0) AS answers,
    counted.pass_rate,
    agreed.top_share
FROM asked
LEFT JOIN drawn USING (run, prompt_id)
LEFT JOIN counted USING (run, prompt_id)
LEFT JOIN agreed USING (run, prompt_id)
ORDER BY pass_rate NULLS LAST, top_share NULLS LAST, samples DESC, asked.run, asked.prompt_id;

COMMENT ON VIEW worst_prompts IS
    'Prompts by what the samples for training made of them, the worst ones first.';
COMMENT ON COLUMN worst_prompts.run IS 'Run that has the prompt.';
COMMENT ON COLUMN worst_prompts.prompt_id IS 'The prompt.';
COMMENT ON COLUMN worst_prompts.environment IS 'Environment that it belongs to.';
COMMENT ON COLUMN worst_prompts.difficulty IS 'Level given by the environment.';
COMMENT ON COLUMN worst_prompts.problem IS 'Content of its last message.';
COMMENT ON COLUMN worst_prompts.reference IS 'Its reference answer.';
COMMENT ON COLUMN worst_prompts.rounds IS 'Rounds in which it was asked.';
COMMENT ON COLUMN worst_prompts.last_round IS 'The last of them.';
COMMENT ON COLUMN worst_prompts.samples IS 'Samples of all rounds, those of evaluation left out.';
COMMENT ON COLUMN worst_prompts.answered IS 'Samples in which an answer was found.';
COMMENT ON COLUMN worst_prompts.answers IS 'Different answers among them.';
COMMENT ON COLUMN worst_prompts.pass_rate IS
    'Share of right samples, those without an answer counted as wrong; null without a reference.';
COMMENT ON COLUMN worst_prompts.top_share IS 'Vote share of the top answer, in the last vote.';
