"""The vendor: Huawei Cloud DLI over HTTP."""
