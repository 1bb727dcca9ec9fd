-- flaky: programs that did not do the same twice, one row per program and set of tests.
--
-- A program is here if the sandbox flagged a run of it as 'nondeterministic', or if runs of the
-- same text, for the same prompt and against the same tests, differ in their verdict or in what
-- they printed. Runs that the sandbox failed on or refused don't count.
CREATE VIEW flaky AS
WITH runs AS (
    SELECT
        samples.prompt_id,
        samples.text,
        executions.test_ids,
        executions.id,
        executions.run,
        executions.round,
        executions.sample_id,
        executions.verdict,
        executions.stdout,
        list_contains(executions.flags, 'nondeterministic') AS is_flagged
    FROM executions
    JOIN samples
        ON samples.run = executions.run AND samples.round = executions.round
        AND samples.id = executions.sample_id
    WHERE executions.verdict NOT IN ('sandbox_fault', 'not_run')
)
SELECT
    prompt_id,
    text,
    test_ids,
    count(*) AS executions,
    count(*) FILTER (WHERE is_flagged) AS flagged,
    list_sort(list(DISTINCT verdict)) AS verdicts,
    count(DISTINCT stdout) AS outputs,
    list_sort(list(DISTINCT run || '/' || round)) AS rounds,
    list_sort(list(DISTINCT sample_id)) AS sample_ids
FROM runs
GROUP BY prompt_id, text, test_ids
HAVING flagged > 0 OR count(DISTINCT verdict) > 1 OR outputs > 1
ORDER BY executions DESC, prompt_id, text, test_ids;

COMMENT ON VIEW flaky IS
    'Programs that did not do the same twice: flagged by the sandbox, or seen to differ.';
COMMENT ON COLUMN flaky.prompt_id IS 'Prompt that the program is for.';
COMMENT ON COLUMN flaky.text IS 'Completion that holds the program.';
COMMENT ON COLUMN flaky.test_ids IS 'Tests that it was run against.';
COMMENT ON COLUMN flaky.executions IS 'Runs of it, over all samples with this text.';
COMMENT ON COLUMN flaky.flagged IS 'Runs that the sandbox flagged as nondeterministic.';
COMMENT ON COLUMN flaky.verdicts IS 'Its different verdicts.';
COMMENT ON COLUMN flaky.outputs IS 'Number of different standard outputs.';
COMMENT ON COLUMN flaky.rounds IS 'Where it ran, as run/round.';
COMMENT ON COLUMN flaky.sample_ids IS 'Samples with this text.';
