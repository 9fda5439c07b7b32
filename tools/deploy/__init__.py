# Bundles on their way to devices: signatures, canaries, and the steps over ssh.
# Never here: the command line (tools/cli), what runs on the device (device.sh, runtime/runner).
"""Deployment. `signing` signs and verifies, `canary` writes what a device compares, `steps` deploys to one host."""
