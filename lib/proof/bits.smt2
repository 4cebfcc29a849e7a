; The axioms of model.h about bits, for words of 64: the negation of each has no solution.
(set-logic QF_BV)
(declare-const h (_ BitVec 64))
(declare-const e (_ BitVec 64))
(declare-const r (_ BitVec 64))
(define-fun top () (_ BitVec 64) #x8000000000000000)
(push 1) ; top_bit
(assert (not (= (distinct (bvand h top) #x0000000000000000) (bvuge h top))))
(check-sat)
(pop 1)
(push 1) ; low_half
(assert (not (= (bvand h #x00000000ffffffff) (bvurem h #x0000000100000000))))
(check-sat)
(pop 1)
(push 1) ; high_half
(assert (not (= (bvand (bvlshr h #x0000000000000020) #x000000007fffffff)
                (bvurem (bvudiv h #x0000000100000000) #x0000000080000000))))
(check-sat)
(pop 1)
(push 1) ; moved_up: and the product does not wrap
(assert (bvult e #x0000000080000000))
(assert (not (and (= (bvshl e #x0000000000000020) (bvmul e #x0000000100000000))
                  (= (bvudiv (bvmul e #x0000000100000000) #x0000000100000000) e))))
(check-sat)
(pop 1)
(push 1) ; packed: and the sum does not wrap
(assert (bvult e #x0000000080000000))
(assert (bvult r #x0000000100000000))
(assert (not (= (bvor top (bvor (bvshl e #x0000000000000020) r)) (bvadd top (bvadd (bvmul e #x0000000100000000) r)))))
(check-sat)
(pop 1)
