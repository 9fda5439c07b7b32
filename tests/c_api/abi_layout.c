/* Sizes and offsets of the public structs where pointers have 64 bits: a change is a break of the ABI and must be
 * meant. Never here: behaviour. Compiling is the test. */
#include <edgecl/edgecl.h>
#include <stddef.h>

#define PIN(name, condition) typedef char name[(condition) ? 1 : -1]

/* A struct without padding at its end: a field added there always changes its size. On 32 bits, too. */
#define NO_TAIL(type, last) PIN(type##_no_tail, offsetof(type, last) + sizeof(((type*)0)->last) == sizeof(type))
NO_TAIL(edgecl_error, message);
NO_TAIL(edgecl_allocator, user);
NO_TAIL(edgecl_hooks, log);
NO_TAIL(edgecl_open_options, level);
NO_TAIL(edgecl_model_info, n_exemplars);
NO_TAIL(edgecl_param_info, stored);
NO_TAIL(edgecl_op_info, index_bytes);
NO_TAIL(edgecl_class_info, rows_merged);
NO_TAIL(edgecl_encoder_info, file);
NO_TAIL(edgecl_session_config, feature_root);
NO_TAIL(edgecl_drift_info, alarms);
NO_TAIL(edgecl_session_options, hooks);
NO_TAIL(edgecl_preset_info, compared);
NO_TAIL(edgecl_migration, n_classes_left);
NO_TAIL(edgecl_sizes, state_bytes_max);
NO_TAIL(edgecl_target, level);
NO_TAIL(edgecl_batch, reserved_end);
NO_TAIL(edgecl_prediction, reserved);
NO_TAIL(edgecl_learn_report, reserved_end);
NO_TAIL(edgecl_rehearse_report, mean_loss);
NO_TAIL(edgecl_stats, steps_in_task);
NO_TAIL(edgecl_head_info, devices);
NO_TAIL(edgecl_device_info, rows);
NO_TAIL(edgecl_merge_report, n_domains_gone);
NO_TAIL(edgecl_threshold, reserved);
NO_TAIL(edgecl_domain_info, rows_merged);
NO_TAIL(edgecl_preset_info, compared);
NO_TAIL(edgecl_profile_event, macs);

#if UINTPTR_MAX == 0xffffffffffffffffu
PIN(error_bytes, sizeof(edgecl_error) == 512);
PIN(allocator_bytes, sizeof(edgecl_allocator) == 32);
PIN(hooks_bytes, sizeof(edgecl_hooks) == 40);
PIN(open_options_bytes, sizeof(edgecl_open_options) == 40);
PIN(model_info_bytes, sizeof(edgecl_model_info) == 224);
PIN(param_info_bytes, sizeof(edgecl_param_info) == 56);
PIN(op_info_bytes, sizeof(edgecl_op_info) == 80);
PIN(class_info_bytes, sizeof(edgecl_class_info) == 40);
PIN(encoder_info_bytes, sizeof(edgecl_encoder_info) == 112);
PIN(config_bytes, sizeof(edgecl_session_config) == 240);
PIN(config_seed, offsetof(edgecl_session_config, seed) == 48);
PIN(config_method, offsetof(edgecl_session_config, method) == 56);
PIN(config_head, offsetof(edgecl_session_config, head) == 196);
PIN(session_options_bytes, sizeof(edgecl_session_options) == 24);
PIN(target_bytes, sizeof(edgecl_target) == 16);
PIN(sizes_bytes, sizeof(edgecl_sizes) == 64);
PIN(batch_bytes, sizeof(edgecl_batch) == 48);
PIN(prediction_bytes, sizeof(edgecl_prediction) == 16);
PIN(report_bytes, sizeof(edgecl_learn_report) == 104);
PIN(rehearse_report_bytes, sizeof(edgecl_rehearse_report) == 12);
PIN(drift_info_bytes, sizeof(edgecl_drift_info) == 48);
PIN(head_info_bytes, sizeof(edgecl_head_info) == 48);
PIN(device_info_bytes, sizeof(edgecl_device_info) == 32);
PIN(merge_report_bytes, sizeof(edgecl_merge_report) == 56);
PIN(stats_bytes, sizeof(edgecl_stats) == 168);
PIN(event_bytes, sizeof(edgecl_profile_event) == 32);
PIN(preset_info_bytes, sizeof(edgecl_preset_info) == 40);
#else
PIN(hooks_bytes, sizeof(edgecl_hooks) == 20);
PIN(open_options_bytes, sizeof(edgecl_open_options) == 24);
PIN(encoder_info_bytes, sizeof(edgecl_encoder_info) == 96);
PIN(config_bytes, sizeof(edgecl_session_config) == 240);
PIN(batch_bytes, sizeof(edgecl_batch) == 40);
PIN(report_bytes, sizeof(edgecl_learn_report) == 88);
#endif

/* Error numbers are for ever. */
PIN(status_argument,
    EDGECL_E_ARGUMENT == -1 && EDGECL_E_BUSY == -6 && EDGECL_E_NO_MEMORY == -20 && EDGECL_E_NOT_FOUND == -23);
PIN(status_bundle, EDGECL_E_BUNDLE_CORRUPT == -30 && EDGECL_E_STATE_CORRUPT == -40 && EDGECL_E_IO == -50);
PIN(status_numeric, EDGECL_E_NUMERIC == -60 && EDGECL_E_INTERNAL == -99);

int main(void) {
  return 0;
}
