"""Performs one data use through the gateway, from registration to evidence, as each actor would."""
