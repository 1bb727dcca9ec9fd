-- Exploration and exploitation of one round, as one row.
--
-- Columns: the fields of tasks.round_metrics.RoundMetrics with the same names, apart from the verdict
-- histogram and the fields that training reports. NULL where a round has nothing to measure.
-- References are read for monitoring only; nothing here selects a training row.
-- Parameters (edit and run the whole file by hand; round_metrics.py sets its own values):
SET VARIABLE run = 'demo';  -- VARCHAR: the run
SET VARIABLE round = 1;     -- INTEGER: its round
-- The share of texts that repeat themselves needs no more rows, and looking for it is the only step
-- that reads every character.
SET VARIABLE repetition_rows = 5000;  -- INTEGER in [1, inf]: most texts searched for repetition
SET VARIABLE ngram_prompts = 500;  -- INTEGER in [1, inf]: most prompts whose texts are compared

WITH
drawn AS (
    SELECT id, prompt_id, text, num_tokens, finish_reason, status, mean_logprob
    FROM samples
    WHERE run = getvariable('run') AND round = getvariable('round')
      AND purpose IN ('train', 'imported') AND role IN ('answer', 'program')
      AND engine <> 'labelled'  -- the environment's own solutions say nothing about the policy
),
asked AS (
    SELECT DISTINCT prompt_id FROM drawn
),
problems AS (
    SELECT prompts.id AS prompt_id, any_value(difficulty) AS difficulty,
           any_value(reference) AS reference
    FROM prompts JOIN asked ON asked.prompt_id = prompts.id
    WHERE prompts.run = getvariable('run')
    GROUP BY prompts.id
),
newest AS (
    SELECT prompt_id FROM problems
    WHERE difficulty IS NOT DISTINCT FROM (SELECT max(difficulty) FROM problems)
),
answers AS (
    SELECT sample_id, any_value(label) AS answer
    FROM scores
    WHERE run = getvariable('run') AND round = getvariable('round') AND "check" = 'answer' AND status = 'ok'
    GROUP BY sample_id
),
marks AS (
    SELECT sample_id, max(value) >= 1.0 AS correct
    FROM scores
    WHERE run = getvariable('run') AND round = getvariable('round') AND "check" = 'reference' AND status = 'ok'
      AND value IS NOT NULL
    GROUP BY sample_id
),
checked AS (
    SELECT drawn.*, answers.sample_id IS NOT NULL AS parsed, answers.answer, marks.correct
    FROM drawn
    LEFT JOIN answers ON answers.sample_id = drawn.id
    LEFT JOIN marks ON marks.sample_id = drawn.id
),
per_prompt AS (
    SELECT prompt_id, count(*) FILTER (status = 'ok') AS num_ok,
           count(DISTINCT answer) AS num_distinct,
           bool_or(parsed) AS parsed,
           bool_or(correct) AS any_correct
    FROM checked GROUP BY prompt_id
),
-- Greedy samples of the same prompts, also when they were drawn for evaluation only; without those
-- that were asked again, which may have seen a hint.
greedy AS (
    SELECT prompt_id, bool_or(correct) AS correct
    FROM samples JOIN marks ON marks.sample_id = samples.id
    WHERE run = getvariable('run') AND round = getvariable('round') AND role IN ('answer', 'program')
      AND turn = 0
      AND TRY_CAST(json_extract_string(sampling, '$.temperature') AS DOUBLE) = 0
      AND prompt_id IN (SELECT prompt_id FROM asked)
    GROUP BY prompt_id
),
-- A label is right when a sample that gave this answer was marked right.
label_marks AS (
    SELECT prompt_id, answer, bool_or(correct) AS correct
    FROM checked WHERE answer IS NOT NULL GROUP BY prompt_id, answer
),
leaders AS (
    -- Over all samples of the prompt: samples without an answer count against agreement.
    SELECT votes.prompt_id, votes.answer, votes.count / nullif(votes.num_samples, 0)::DOUBLE AS share,
           label_marks.correct,
           votes.prompt_id IN (SELECT prompt_id FROM newest) AS is_newest,
           greedy.correct AS greedy_correct
    FROM votes
    JOIN asked ON asked.prompt_id = votes.prompt_id
    LEFT JOIN greedy ON greedy.prompt_id = votes.prompt_id
    LEFT JOIN label_marks
        ON label_marks.prompt_id = votes.prompt_id AND label_marks.answer = votes.answer
    WHERE votes.run = getvariable('run') AND votes.round = getvariable('round') AND votes.rank = 1
    QUALIFY row_number() OVER (PARTITION BY votes.prompt_id ORDER BY votes.answer) = 1
),
-- Entropy of a prompt's answers in nats; samples without an answer do not vote.
entropies AS (
    SELECT prompt_id, -sum((count / total) * ln(count / total)) AS entropy
    FROM (
        SELECT prompt_id, count, sum(count) OVER (PARTITION BY prompt_id)::DOUBLE AS total
        FROM votes JOIN asked USING (prompt_id)
        WHERE run = getvariable('run') AND round = getvariable('round')
    ) GROUP BY prompt_id
),
-- Whether a vote for the majority answer would be the right reward (label and reward accuracy as in
-- TTRL, arXiv 2504.16084): where answers scatter, a wrong label still rewards most samples rightly.
rewards AS (
    SELECT (checked.answer IS NOT DISTINCT FROM leaders.answer) = checked.correct AS is_right
    FROM checked JOIN leaders USING (prompt_id) WHERE checked.correct IS NOT NULL
),
-- Distinct n-grams of words among all those of a prompt's samples (distinct-n, Li et al. 2016,
-- arXiv 1510.03055, within a prompt): 1 where no two samples share any, low where they are alike.
words AS (
    SELECT prompt_id, regexp_extract_all(text, '\w+|[^\w\s]') AS word
    FROM drawn
    WHERE status = 'ok'
      AND prompt_id IN (FROM asked ORDER BY prompt_id LIMIT getvariable('ngram_prompts'))
),
grams AS (
    SELECT prompt_id, 1 AS n, unnest(word) AS gram FROM words
    UNION ALL
    SELECT prompt_id, 2,
           unnest(list_transform(range(1, len(word)), lambda i: word[i] || ' ' || word[i + 1]))
    FROM words
),
distinct_grams AS (
    SELECT n, avg(share) AS share FROM (
        SELECT prompt_id, n, count(DISTINCT gram) / count(*)::DOUBLE AS share
        FROM grams GROUP BY prompt_id, n
    ) GROUP BY n
),
-- Ids are hashes, so the first rows by id are a random sample, and the same one every time. Texts
-- shorter than 40 characters cannot show a loop. Share of 8-character windows seen before.
texts AS (
    SELECT id, text FROM drawn
    WHERE status = 'ok' AND length(text) >= 40 ORDER BY id LIMIT getvariable('repetition_rows')
),
repeats AS (
    SELECT 1.0 - list_unique(list_transform(range(1, length(text) - 6), lambda i: text[i:i + 7]))
           / (length(text) - 7) AS share
    FROM texts
),
selected AS (
    SELECT 'examples' AS kind, prompt_id, sample_ids[1] AS sample_id
    FROM examples WHERE run = getvariable('run') AND round = getvariable('round')
    UNION ALL
    SELECT 'pairs', prompt_id, chosen_sample_id FROM pairs WHERE run = getvariable('run') AND round = getvariable('round')
    UNION ALL
    SELECT 'labels', prompt_id, CASE WHEN label THEN sample_ids[1] END
    FROM labels WHERE run = getvariable('run') AND round = getvariable('round')
),
paired AS (
    SELECT c.mean_logprob AS chosen_logprob, r.mean_logprob AS rejected_logprob,
           c.num_tokens AS chosen_tokens, r.num_tokens AS rejected_tokens
    FROM pairs
    JOIN samples AS c ON c.id = pairs.chosen_sample_id AND c.run = pairs.run
    JOIN samples AS r ON r.id = pairs.rejected_sample_id AND r.run = pairs.run
    WHERE pairs.run = getvariable('run') AND pairs.round = getvariable('round')
),
common_answer AS (
    SELECT answer, count(*) AS number FROM leaders GROUP BY answer ORDER BY number DESC, answer LIMIT 1
),
common_reference AS (
    SELECT count(*) AS number FROM problems WHERE reference IS NOT NULL
    GROUP BY reference ORDER BY number DESC LIMIT 1
)
SELECT
    (SELECT count(*) FROM asked) AS num_prompts,
    (SELECT count(*) FROM drawn) AS num_samples,
    (SELECT avg(num_ok) FROM per_prompt) AS samples_per_prompt,
    (SELECT avg((status = 'error')::INT) FROM drawn) AS error_share,
    (SELECT avg((answer IS NOT NULL)::INT) FROM checked WHERE status = 'ok' AND parsed)
        AS answered_share,
    (SELECT avg(num_distinct) FROM per_prompt WHERE parsed) AS distinct_answers_per_prompt,
    (SELECT avg((num_distinct > 1)::INT) FROM per_prompt WHERE parsed) AS disputed_share,
    (SELECT avg(entropy) FROM entropies) AS vote_entropy,
    (SELECT share FROM distinct_grams WHERE n = 1) AS distinct_1,
    (SELECT share FROM distinct_grams WHERE n = 2) AS distinct_2,
    (SELECT avg((finish_reason = 'length')::INT) FROM drawn WHERE status = 'ok') AS truncated_share,
    (SELECT avg((share > 0.7)::INT) FROM repeats) AS repeating_share,
    (SELECT avg(num_tokens) FROM drawn WHERE status = 'ok') AS mean_tokens,
    (SELECT avg(mean_logprob) FROM drawn WHERE status = 'ok') AS mean_logprob,
    (SELECT count(*) FROM leaders) AS num_voted_prompts,
    (SELECT avg(share) FROM leaders) AS mean_majority_share,
    (SELECT median(share) FROM leaders) AS median_majority_share,
    (SELECT avg((share >= 1.0)::INT) FROM leaders) AS unanimous_coverage,
    (SELECT max(difficulty) FROM problems) AS newest_difficulty,
    (SELECT avg(share) FROM leaders WHERE is_newest) AS newest_majority_share,
    (SELECT count(*) FILTER (share >= 1.0) FROM leaders WHERE is_newest)
        / nullif((SELECT count(*) FROM newest), 0)::DOUBLE AS newest_unanimous_coverage,
    (SELECT avg(correct::INT) FROM leaders WHERE is_newest) AS newest_label_accuracy,
    (SELECT answer FROM common_answer) AS top_answer,
    (SELECT number FROM common_answer) / nullif((SELECT count(*) FROM leaders), 0)::DOUBLE
        AS top_answer_share,
    (SELECT number FROM common_reference)
        / nullif((SELECT count(reference) FROM problems), 0)::DOUBLE AS top_reference_share,
    (SELECT avg(correct::INT) FROM checked) AS sample_accuracy,
    (SELECT avg(any_correct::INT) FROM per_prompt) AS any_correct_share,
    (SELECT avg(correct::INT) FROM leaders) AS majority_accuracy,
    (SELECT avg(is_right::INT) FROM rewards) AS reward_accuracy,
    (SELECT avg(greedy_correct::INT) FROM leaders WHERE correct IS NOT NULL) AS greedy_accuracy,
    (SELECT avg(correct::INT) - avg(greedy_correct::INT) FROM leaders
     WHERE correct IS NOT NULL AND greedy_correct IS NOT NULL) AS majority_gain,
    (SELECT count(*) FROM selected WHERE kind = 'examples') AS num_examples,
    (SELECT count(*) FROM selected WHERE kind = 'pairs') AS num_pairs,
    (SELECT count(*) FROM selected WHERE kind = 'labels') AS num_labels,
    (SELECT count(DISTINCT prompt_id) FROM selected)
        / nullif((SELECT count(*) FROM asked), 0)::DOUBLE AS selected_coverage,
    (SELECT avg(correct::INT) FROM selected JOIN marks USING (sample_id)) AS selected_accuracy,
    -- How much better what selection keeps is than what the model writes (Song et al. 2024,
    -- arXiv 2412.02674): what a round can learn from.
    (SELECT avg(correct::INT) FROM selected JOIN marks USING (sample_id))
        - (SELECT avg(correct::INT) FROM checked) AS generation_verification_gap,
    (SELECT avg(chosen_logprob) FROM paired) AS chosen_logprob,
    (SELECT avg(rejected_logprob) FROM paired) AS rejected_logprob,
    (SELECT avg(chosen_tokens) FROM paired) AS chosen_tokens,
    (SELECT avg(rejected_tokens) FROM paired) AS rejected_tokens,
    (SELECT avg((status = 'error')::INT) FROM scores
     WHERE run = getvariable('run') AND round = getvariable('round')) AS lost_score_share;
