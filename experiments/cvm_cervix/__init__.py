"""Liu, Li, Xu, Jiang, Rahaman, Sun, Wu, Hu, Chen, Sun, Yao, Grzegorzek. CVM-Cervix: A Hybrid Cervical Pap-Smear Image
Classification Framework Using CNN, Visual Transformer and Multilayer Perceptron. Pattern Recognition 130, 108829, 2022.
"""  # fmt: skip
