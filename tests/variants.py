"""Tests that ``make test`` leaves to ``make bench``.

Each costs seconds. The first differ from a variant that stays in one setting only: another
acquisition function, device order, kind of kill, or precision. The last ones show in a whole run
what another test shows of the part.
"""

import re

LEFT_TO_BENCH = re.compile(
    "|".join(
        (
            r"test_protocol\.py::test_(vmap_over|pools_hold).*\[bo-(ei|ucb|own|one)\]",
            r"test_simulation\.py::test_one_compiled.*\[(weight_only|retrain_only|cem_pi|rwr|fb_vae"
            r"|cem_pi_reference)\]",
            r"test_simulation\.py::test_every_charged.*\[weighted_retraining-(latent_ascent|data_ascent"
            r"|generator)\]",
            r"test_sweep\.py::test_a_killed_sweep.*\[[1-4]\]",
            r"test_process\.py::test_programs_on_a_cpu.*\[2-(1-2|2-1)\]",
            r"test_process\.py::test_no_array_outlives.*\[bo\]",
            r"test_lock\.py::test_a_budget_that.*\[(True-(on the host|in JAX)|False-on the host)\]",
            r"test_study_engine\.py::test_an_open_study_goes_on.*\[(told|finished)\]",
            r"test_same_settings\.py::test_an_objective_that_counts.*\[(list|attribute|instance)\]",
            r"test_growing\.py::test_a_run_that_grew.*\[(10|8)-20\]",
            r"test_growing\.py::test_a_run_moves.*\[4-16\]",
            r"test_gradient\.py::test_following_gradients.*\[(data_ascent|generator)-regressor\]",
            r"test_bayesian\.py::test_ranks_are_those.*\[exact-log_ei\]",
            r"test_gru\.py::test_states_and_gradients.*\[0\]",
            r"test_kernels\.py::test_derivatives_where_points.*\[4-.*float64\]",
            r"test_candidates\.py::test_the_rest_of_a_pool.*\[(2|6)-[13]\]",
            r"test_maximize\.py::test_no_array_of_a_trace.*\[closure\]",
            r"test_resume\.py::test_resume_ends_with.*\[[12]\]",
            r"test_resume\.py::test_a_run_that_was_killed_while.*\[an empty log\]",
            r"test_molecule_vae\.py::test_lanes_give.*\[likelihood\]",
            r"test_flow\.py::test_the_inverse_is_the_inverse.*\[3\]",
            r"test_strict\.py::test_a_simulation_relies_on_no_promotion"
            r".*\[(latent_ascent|data_ascent|generator).*64 bits\]",
            r"test_public_loop\.py::test_a_run_retrains_with_the_optimizer.*\[adamw\]",
            r"test_public_loop\.py::test_a_task_that_minimises.*\[bo\]",
            r"test_own_functions\.py::test_weights_that_do_not_sum.*\[split\]",
            r"test_conv\.py::test_second_convolution_gradient_with_float64",
            r"test_predictions\.py::test_a_log_of_an_earlier_version",
            r"test_surrogate\.py::test_failed_queries_enter_as_the_penalty",
            r"test_events\.py::test_every_run_of_a_sweep_calls_back",
            r"test_simulation\.py::test_a_simulation_within_a_shard_map",
            r"test_growing\.py::test_a_run_on_the_host_grows_over_steps",
        )
    )
)
"""Node ids, as pytest writes them."""
