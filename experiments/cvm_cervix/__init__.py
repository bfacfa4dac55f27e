"""Liu, Li, Xu, Ding, Wang, et al. CVM-Cervix: A Hybrid Cervical Pap-Smear Image Classification Framework Using CNN,
Visual Transformer and Multilayer Perceptron. 2022.
"""  # fmt: skip
